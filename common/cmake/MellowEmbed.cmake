# mellow_embed(library mellow::review::WebFiles services/review/web_files.h a.html b.js): the files become part of the library, behind the
# function that the header declares:  const std::map<std::string, absl::string_view>& WebFiles();  (name without folder -> bytes)
function(mellow_embed library function header)
  set(files)
  foreach(file ${ARGN})
    list(APPEND files "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
  endforeach()
  set(script "${CMAKE_SOURCE_DIR}/common/cmake/embed_files.cmake")
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${library}_files.cc")
  add_custom_command(
    OUTPUT "${out}"
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DHEADER=${header}" "-DFUNCTION=${function}" "-DFILES=${files}" -P "${script}"
    DEPENDS ${files} "${script}"
    VERBATIM)
  target_sources(${library} PRIVATE "${out}")
endfunction()
