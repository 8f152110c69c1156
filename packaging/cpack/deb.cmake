# memfuse_VERSION_ARCHITECTURE.deb, and memfuse-dbgsym beside it.

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# Not every dpkg that could install this can read zstd.
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_MEMFUSE_PACKAGE_NAME memfuse)
set(CPACK_DEBIAN_MEMFUSE_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_MEMFUSE_DESCRIPTION "${description}")
set(CPACK_DEBIAN_MEMFUSE_PACKAGE_SHLIBDEPS ON)
# As for other FUSE file systems: without fusermount3 only root can mount.
set(CPACK_DEBIAN_MEMFUSE_PACKAGE_DEPENDS fuse3)

set(CPACK_DEBIAN_DEBUG_PACKAGE_NAME memfuse-dbgsym)
set(CPACK_DEBIAN_DEBUG_PACKAGE_SECTION debug)
set(CPACK_DEBIAN_DEBUG_DESCRIPTION "${debug_description}")
set(CPACK_DEBIAN_DEBUG_PACKAGE_DEPENDS "memfuse (= ${MEMFUSE_VERSION})")
set(CPACK_DEBIAN_DEBUG_PACKAGE_SOURCE memfuse)

set(package_dir ${PROJECT_SOURCE_DIR}/packaging/debian)
foreach(script IN ITEMS postinst prerm postrm)
  memfuse_scriptlet(${package_dir}/${script}.in ${PROJECT_BINARY_DIR}/packaging/${script})
  list(APPEND CPACK_DEBIAN_MEMFUSE_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/packaging/${script})
endforeach()
set(CPACK_DEBIAN_MEMFUSE_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# The files that finish_tree.cmake finds below /etc.
set(CPACK_MEMFUSE_CONFFILES ${PROJECT_BINARY_DIR}/packaging/conffiles)

install(FILES ${package_dir}/copyright ${package_dir}/changelog ${PROJECT_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/memfuse)
memfuse_install_notices(${CMAKE_INSTALL_DATADIR}/doc/memfuse)
# The package depends on the same version of memfuse, so the target of the link exists.
install(CODE "
  set(doc \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/doc\")
  file(MAKE_DIRECTORY \"\${doc}\")
  file(CREATE_LINK memfuse \"\${doc}/memfuse-dbgsym\" SYMBOLIC)" COMPONENT debug)
