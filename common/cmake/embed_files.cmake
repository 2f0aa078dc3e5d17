# cmake -DOUT=x.cc -DHEADER=path/x.h -DFUNCTION=mellow::review::WebFiles -DFILES=a.html;b.js -P embed_files.cmake
# Writes a function that returns the files' names and bytes, as services/review/web_files.h declares it.
set(arrays "")
set(entries "")
set(index 0)
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," list "${hex}")
  string(APPEND arrays "constexpr unsigned char kFile${index}[] = {${list}0};\n")
  string(APPEND entries "      {\"${name}\", {reinterpret_cast<const char*>(kFile${index}), ${bytes}}},\n")
  math(EXPR index "${index} + 1")
endforeach()
string(REGEX REPLACE "::[^:]+$" "" namespace "${FUNCTION}")
string(REGEX REPLACE "^.*::" "" function "${FUNCTION}")
file(WRITE "${OUT}" "// Made by embed_files.cmake.
#include \"${HEADER}\"

namespace ${namespace} {
namespace {
${arrays}}  // namespace

const std::map<std::string, absl::string_view>& ${function}() {
  static const auto* files = new std::map<std::string, absl::string_view>{
${entries}  };
  return *files;
}

}  // namespace ${namespace}
")
