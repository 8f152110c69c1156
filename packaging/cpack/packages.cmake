# The common part of the .deb and the .rpm. cpack makes each from the build of its own preset,
# package-deb and package-rpm, and packs the files of all install() rules; packaging/build.sh makes
# both.

include(GNUInstallDirs)

# The component of rules without a COMPONENT. The other component has the files that
# finish_tree.cmake splits off.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME memfuse)

target_link_options(memfuse_options INTERFACE -Wl,--build-id=sha1 -Wl,--as-needed)
set(CMAKE_SKIP_RPATH ON)
# CMAKE_POSITION_INDEPENDENT_CODE applies to compiling; this applies to linking programs.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

set(CPACK_GENERATOR ${MEMFUSE_PACKAGE})
set(CPACK_PACKAGE_NAME memfuse)
set(CPACK_PACKAGE_VERSION ${MEMFUSE_VERSION})
set(CPACK_PACKAGE_VENDOR memfuse)
set(CPACK_PACKAGE_CONTACT "The memfuse maintainers <maintainers@memfuse.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "file system in RAM, served over FUSE")
file(READ ${CMAKE_CURRENT_LIST_DIR}/description.txt description)
string(STRIP "${description}" description)
# cpack does not escape the text in its configuration.
if(description MATCHES "[\";\\]")
  message(FATAL_ERROR "description.txt may contain no quotation mark, semicolon or backslash")
endif()
set(debug_summary "debug information for memfuse")
set(debug_description "What debuggers need to know about the programs of memfuse.")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_PACKAGE_RELOCATABLE OFF)
set(CPACK_COMPONENTS_ALL memfuse debug)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish_tree.cmake)

# memfuse_scriptlet(TEMPLATE RESULT): makes a maintainer script that contains the shared shell
# functions.
file(READ ${CMAKE_CURRENT_LIST_DIR}/../scriptlets/reload_systemd.sh RELOAD_SYSTEMD)
file(READ ${CMAKE_CURRENT_LIST_DIR}/../scriptlets/name_served_mounts.sh NAME_SERVED_MOUNTS)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/../scriptlets/reload_systemd.sh
  ${CMAKE_CURRENT_LIST_DIR}/../scriptlets/name_served_mounts.sh)
function(memfuse_scriptlet template result)
  configure_file(${template} ${result} @ONLY FILE_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endfunction()

# memfuse_install_notices(DIRECTORY): installs the licenses of the libraries that are linked
# statically, as they require.
function(memfuse_install_notices directory)
  if(NOT MEMFUSE_STATIC_DEPENDENCIES)
    return()
  endif()
  # The headers of the last two are compiled into the programs.
  foreach(library IN ITEMS libabsl libgflags libgoogle-glog liburing libboost nlohmann-json3)
    set(notice /usr/share/doc/${library}-dev/copyright)
    if(NOT EXISTS ${notice})
      message(FATAL_ERROR "The package would lack the license of ${library}: there is no ${notice}")
    endif()
    install(FILES ${notice} DESTINATION ${directory} RENAME ${library}.copyright)
  endforeach()
endfunction()

file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/packaging)
# Each name of a program has a manual page.
if(EXISTS ${PROJECT_SOURCE_DIR}/man/mount.memfuse.8)
  file(CREATE_LINK mount.memfuse.8 ${PROJECT_BINARY_DIR}/packaging/mount.fuse.memfuse.8 SYMBOLIC)
  install(FILES ${PROJECT_BINARY_DIR}/packaging/mount.fuse.memfuse.8
          DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
endif()

# A component must not be empty; finish_tree.cmake adds the files.
install(DIRECTORY DESTINATION lib/debug/.build-id COMPONENT debug)

string(TOLOWER ${MEMFUSE_PACKAGE} package_kind)
include(${CMAKE_CURRENT_LIST_DIR}/${package_kind}.cmake)
