#ifndef MELLOW_COMMON_TEXT_UNICODE_UNICODE_H_
#define MELLOW_COMMON_TEXT_UNICODE_UNICODE_H_

// The few Unicode properties that tokenizers ask for, at the versions of the reference (see
// make_unicode_tables.py).

#include <cstddef>

#include "absl/strings/string_view.h"

namespace mellow::text {

// The classes of GPT-2's pre-tokenizer: \p{L}, \p{N}, \s and the rest.
enum class WordClass : unsigned char { kOther, kLetter, kNumber, kSpace };

[[nodiscard]] WordClass WordClassOf(char32_t code_point);

// The White_Space property, \s of a Unicode regular expression.
[[nodiscard]] bool IsWhiteSpace(char32_t code_point);

// \w of a Unicode regular expression: letters, marks, decimal digits, connectors and joiners.
[[nodiscard]] bool IsWordCharacter(char32_t code_point);

// The end of the grapheme cluster that begins at text[pos]; text is UTF-8, pos < text.size().
// Clusters of Hangul jamo, flags and joined emoji come out in parts: each is 6 bytes or longer, and
// the one caller (Charsmap) looks at clusters below 6 bytes only.
[[nodiscard]] size_t GraphemeClusterEnd(absl::string_view text, size_t pos);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_UNICODE_UNICODE_H_
