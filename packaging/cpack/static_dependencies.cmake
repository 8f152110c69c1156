# Sets the imported targets of the libraries whose versions, and therefore sonames, differ between
# distributions to their static archives: Abseil, gflags, glog and liburing. (Abseil guarantees no
# stable interface even within one version: a security update of one Debian release added functions to
# it that the same version in another release lacks.) The libraries that are still loaded are the C and
# C++ runtime, and libunwind for glog. libunwind has been libunwind.so.8 in all distributions for ten
# years, and its archive cannot be linked into a position-independent program. The .deb also loads
# ncurses, whose archive lintian forbids. The .rpm links the archive, because the distributions with
# rpm give the library's symbols other versions than Debian, or none.

# memfuse_archive_of(VARIABLE LIBRARY): the archive in the directory of a shared library.
function(memfuse_archive_of variable library)
  string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive "${library}")
  if(NOT EXISTS "${archive}")
    message(FATAL_ERROR "MEMFUSE_STATIC_DEPENDENCIES: there is no ${archive}")
  endif()
  set(${variable} "${archive}" PARENT_SCOPE)
endfunction()

get_property(imported_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS imported_targets)
  if(NOT target MATCHES "^(absl::|gflags$|glog::glog$)")
    continue()
  endif()
  get_target_property(configurations ${target} IMPORTED_CONFIGURATIONS)
  foreach(configuration IN LISTS configurations)
    get_target_property(location ${target} IMPORTED_LOCATION_${configuration})
    if(location MATCHES "\\.so[.0-9]*$")
      memfuse_archive_of(archive "${location}")
      set_target_properties(${target} PROPERTIES IMPORTED_LOCATION_${configuration} "${archive}")
    endif()
  endforeach()
endforeach()

# Shared libraries list their own dependencies; archives do not.
find_library(MEMFUSE_LIBUNWIND unwind REQUIRED)
find_library(MEMFUSE_LIBURING liburing.a HINTS ${liburing_LIBRARY_DIRS} REQUIRED)
set_property(TARGET glog::glog APPEND PROPERTY INTERFACE_LINK_LIBRARIES
  ${MEMFUSE_LIBUNWIND} ${CMAKE_DL_LIBS})
set_target_properties(PkgConfig::liburing PROPERTIES INTERFACE_LINK_LIBRARIES ${MEMFUSE_LIBURING})
if(MEMFUSE_PACKAGE STREQUAL "RPM")
  find_library(MEMFUSE_LIBNCURSESW libncursesw.a HINTS ${ncursesw_LIBRARY_DIRS} REQUIRED)
  find_library(MEMFUSE_LIBTINFO libtinfo.a HINTS ${ncursesw_LIBRARY_DIRS} REQUIRED)
  set_target_properties(PkgConfig::ncursesw PROPERTIES
    INTERFACE_LINK_LIBRARIES "${MEMFUSE_LIBNCURSESW};${MEMFUSE_LIBTINFO}")
endif()
