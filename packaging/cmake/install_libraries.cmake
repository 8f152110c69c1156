# Installs the headers, the static libraries and a CMake package of the name memfuse. Its targets are
# memfuse::memfs (MemoryFileSystem) and memfuse::transport (Session), and what they link.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(memfuse_libraries memfuse_base memfuse_protocol memfuse_mount memfuse_transport
    memfuse_memfs_space memfuse_memfs_records memfuse_memfs_tree memfuse_memfs_data memfuse_memfs_reclaim memfuse_memfs)
foreach(library IN LISTS memfuse_libraries ITEMS memfuse_options)
  string(REPLACE memfuse_ "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS ${memfuse_libraries} memfuse_options EXPORT memfuse
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/memfuse
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/memfuse)
install(EXPORT memfuse NAMESPACE memfuse:: FILE memfuse-targets.cmake
        DESTINATION ${package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/memfuse-config-version.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/memfuse-config.cmake
              ${PROJECT_BINARY_DIR}/memfuse-config-version.cmake
        DESTINATION ${package_directory})
