# Run by cpack after it has installed all files into its own directories and before it packs them.
# Applies the rules of the distributions for every package to the files.

set(tree "${CPACK_TEMPORARY_DIRECTORY}/memfuse")
set(debug_tree "${CPACK_TEMPORARY_DIRECTORY}/debug")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# compress(FILE...): without name and time; a link is renamed together with its target.
function(compress)
  foreach(document IN LISTS ARGN)
    if(IS_SYMLINK "${document}")
      file(READ_SYMLINK "${document}" target)
      file(CREATE_LINK "${target}.gz" "${document}.gz" SYMBOLIC)
      file(REMOVE "${document}")
    else()
      run(gzip -9n "${document}")
    endif()
  endforeach()
endfunction()

# Moves the debug information out of a program, to the path where debuggers search for it by build id.
function(split program)
  execute_process(COMMAND readelf --notes --wide "${program}" OUTPUT_VARIABLE notes
                  COMMAND_ERROR_IS_FATAL ANY)
  if(NOT notes MATCHES "Build ID: ([0-9a-f][0-9a-f])([0-9a-f]+)")
    message(FATAL_ERROR "${program} has no build id")
  endif()
  set(debug_file "${debug_tree}/usr/lib/debug/.build-id/${CMAKE_MATCH_1}/${CMAKE_MATCH_2}.debug")
  get_filename_component(directory "${debug_file}" DIRECTORY)
  run(mkdir --parents --mode=0755 "${directory}")
  run(objcopy --only-keep-debug --compress-debug-sections "${program}" "${debug_file}")
  run(chmod 0644 "${debug_file}")
  run(strip --remove-section=.comment --remove-section=.note "${program}")
endfunction()

file(GLOB documents "${tree}/usr/share/man/man?/*.?" "${tree}/usr/share/man/*/man?/*.?")
if(CPACK_GENERATOR STREQUAL "DEB")
  list(APPEND documents "${tree}/usr/share/doc/memfuse/changelog"
                        "${tree}/usr/share/doc/memfuse/README.md")
endif()
compress(${documents})

file(GLOB_RECURSE files LIST_DIRECTORIES false "${tree}/usr/*")
foreach(file IN LISTS files)
  if(IS_SYMLINK "${file}")
    continue()
  endif()
  file(READ "${file}" magic LIMIT 4 HEX)
  if(magic STREQUAL "7f454c46")
    split("${file}")
  endif()
endforeach()

# Once installed, files below /etc belong to the administrator.
file(GLOB_RECURSE configuration LIST_DIRECTORIES false RELATIVE "${tree}" "${tree}/etc/*")
list(TRANSFORM configuration PREPEND "/")
if(configuration AND CPACK_GENERATOR STREQUAL "DEB")
  list(JOIN configuration "\n" lines)
  file(WRITE "${CPACK_MEMFUSE_CONFFILES}" "${lines}\n")
  list(APPEND CPACK_DEBIAN_MEMFUSE_PACKAGE_CONTROL_EXTRA "${CPACK_MEMFUSE_CONFFILES}")
elseif(configuration)
  list(TRANSFORM configuration PREPEND "%config(noreplace) ")
  list(APPEND CPACK_RPM_MEMFUSE_USER_FILELIST ${configuration})
endif()

# A directory belongs to an .rpm only if no other package can have files in it.
if(CPACK_GENERATOR STREQUAL "RPM")
  file(GLOB_RECURSE directories LIST_DIRECTORIES true RELATIVE "${CPACK_TEMPORARY_DIRECTORY}"
    "${tree}/*" "${debug_tree}/*")
  foreach(directory IN LISTS directories)
    if(IS_DIRECTORY "${CPACK_TEMPORARY_DIRECTORY}/${directory}" AND
       NOT directory MATCHES "^[a-z]+/.*/memfuse|^debug/.*/.build-id/")
      string(REGEX REPLACE "^[a-z]+" "" directory "${directory}")
      list(APPEND CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION "${directory}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION)
endif()

# cpack already sorts archives and sets root as the owner. The modes of directories depend on the umask
# of the build, so they are set here. All times are set to SOURCE_DATE_EPOCH.
run(find "${CPACK_TEMPORARY_DIRECTORY}" -type d -exec chmod 0755 {} +)
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  run(find "${CPACK_TEMPORARY_DIRECTORY}" -exec
      touch --no-dereference "--date=@$ENV{SOURCE_DATE_EPOCH}" {} +)
endif()
