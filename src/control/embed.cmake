# cmake -DOUTPUT=page_files.h -DDIRECTORY=page -P embed.cmake
#
# Makes a header with the files of the page, which page.cc includes: an array kPageFiles of PageFile.
set(files "")
foreach(row IN ITEMS "/,index.html,text/html" "/page.css,page.css,text/css"
                     "/page.js,page.js,text/javascript")
  string(REPLACE "," ";" row "${row}")
  list(GET row 0 path)
  list(GET row 1 name)
  list(GET row 2 type)
  file(READ ${DIRECTORY}/${name} content)
  # The end of the string literal.
  if(content MATCHES "\\)embedded\"")
    message(FATAL_ERROR "${name} contains the end of a string literal")
  endif()
  file(SHA256 ${DIRECTORY}/${name} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  string(APPEND files "    {\"${path}\", \"${type}; charset=utf-8\", \"\\\"${hash}\\\"\",\n"
                      "     R\"embedded(${content})embedded\"},\n")
endforeach()
file(WRITE ${OUTPUT}
  "// Made by src/control/embed.cmake.\n"
  "namespace memfuse::control {\n"
  "constexpr PageFile kPageFiles[] = {\n"
  "${files}"
  "};\n"
  "}  // namespace memfuse::control\n")
