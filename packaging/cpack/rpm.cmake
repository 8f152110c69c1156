# memfuse-VERSION-1.ARCHITECTURE.rpm for distributions with glibc 2.36 or newer, and
# memfuse-debuginfo beside it.

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_MAIN_COMPONENT memfuse)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELEASE 1)
# The statically linked libraries gflags and glog are BSD-3-Clause, and liburing is MIT.
set(CPACK_RPM_PACKAGE_LICENSE "Apache-2.0 AND BSD-3-Clause AND MIT")
set(CPACK_RPM_PACKAGE_GROUP System/Filesystems)
set(CPACK_RPM_PACKAGE_RELOCATABLE OFF)
set(CPACK_RPM_COMPRESSION_TYPE xz)
set(CPACK_RPM_CHANGELOG_FILE ${PROJECT_SOURCE_DIR}/packaging/rpm/changelog)
# By default, rpm records the time and host of the build, and processes the files in the way that
# finish_tree.cmake already did.
string(CONCAT CPACK_RPM_SPEC_MORE_DEFINE
  "%define use_source_date_epoch_as_buildtime 1\n"
  "%define clamp_mtime_to_source_date_epoch 1\n"
  "%define source_date_epoch_from_changelog 0\n"
  "%define _buildhost localhost\n"
  "%define __os_install_post %{nil}\n"
  "%define _build_id_links none")

set(CPACK_RPM_MEMFUSE_PACKAGE_SUMMARY ${CPACK_PACKAGE_DESCRIPTION_SUMMARY})
set(CPACK_RPM_MEMFUSE_PACKAGE_DESCRIPTION "${description}")
# The package has the same name on Fedora and openSUSE. rpm finds the libraries itself.
set(CPACK_RPM_MEMFUSE_PACKAGE_REQUIRES fuse3)

set(CPACK_RPM_DEBUG_PACKAGE_NAME memfuse-debuginfo)
set(CPACK_RPM_DEBUG_PACKAGE_SUMMARY ${debug_summary})
set(CPACK_RPM_DEBUG_PACKAGE_DESCRIPTION "${debug_description}")
set(CPACK_RPM_DEBUG_PACKAGE_REQUIRES "memfuse = ${MEMFUSE_VERSION}-${CPACK_RPM_PACKAGE_RELEASE}")

foreach(script IN ITEMS post preun postun)
  memfuse_scriptlet(${PROJECT_SOURCE_DIR}/packaging/rpm/${script}.in
                    ${PROJECT_BINARY_DIR}/packaging/${script})
endforeach()
set(CPACK_RPM_MEMFUSE_POST_INSTALL_SCRIPT_FILE ${PROJECT_BINARY_DIR}/packaging/post)
set(CPACK_RPM_MEMFUSE_PRE_UNINSTALL_SCRIPT_FILE ${PROJECT_BINARY_DIR}/packaging/preun)
set(CPACK_RPM_MEMFUSE_POST_UNINSTALL_SCRIPT_FILE ${PROJECT_BINARY_DIR}/packaging/postun)

set(license_dir ${CMAKE_INSTALL_DATADIR}/licenses/memfuse)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${license_dir})
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/memfuse)

memfuse_install_notices(${license_dir})
