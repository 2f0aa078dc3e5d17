#include "services/cli/terminal/printable.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "common/text/unicode/utf8.h"

namespace mellow::cli {
namespace {

bool Obeyed(char32_t c) {
  if (c == '\n' || c == '\t') return false;
  if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return true;
  return c == 0x061C || c == 0x200E || c == 0x200F ||  // marks of direction
         (c >= 0x2028 && c <= 0x202E) ||               // separators, embeddings, overrides
         (c >= 0x2066 && c <= 0x2069);                 // isolates
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const text::Utf8Char c = text::DecodeUtf8(text, i);
    if (!Obeyed(c.code_point)) {
      text::AppendUtf8(c.code_point, &out);  // of what is not valid: U+FFFD
    } else if (c.code_point < 0x100) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(c.code_point));
    } else {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c.code_point));
    }
    i += static_cast<size_t>(c.size);
  }
  return out;
}

std::string PrintableLine(absl::string_view text) {
  std::string line = Printable(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

}  // namespace mellow::cli
