#ifndef MELLOW_COMMON_TEXT_UNICODE_UTF8_H_
#define MELLOW_COMMON_TEXT_UNICODE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace mellow::text {

// One step through a byte string. Of valid UTF-8: the code point and its 1 to 4 bytes. Otherwise
// `valid` is false, code_point is U+FFFD and `size` is the length of the ill-formed part (at least
// 1) that Unicode says to replace by one U+FFFD.
struct Utf8Char {
  char32_t code_point;
  int size;
  bool valid;
};

// pos < text.size().
[[nodiscard]] Utf8Char DecodeUtf8(absl::string_view text, size_t pos);

void AppendUtf8(char32_t code_point, std::string* out);

// The offset of the first byte that is not part of valid UTF-8, or npos. (Surrogates and overlong
// forms are not.)
[[nodiscard]] size_t FirstInvalidUtf8(absl::string_view text);

// `bytes` with every ill-formed part replaced by U+FFFD.
[[nodiscard]] std::string ReplaceInvalidUtf8(absl::string_view bytes);

// The number of code points of valid UTF-8: what Python calls len().
[[nodiscard]] size_t CountCodePoints(absl::string_view text);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_UNICODE_UTF8_H_
