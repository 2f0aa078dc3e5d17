#ifndef MELLOW_COMMON_TEXT_PIPELINE_BYTE_LEVEL_H_
#define MELLOW_COMMON_TEXT_PIPELINE_BYTE_LEVEL_H_

// GPT-2's way from text to the words of a byte-level BPE, and back.

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::text {

// The printable character that stands for each byte in vocab.json and merges.txt, as UTF-8.
[[nodiscard]] const std::array<std::string, 256>& ByteCharacters();

// The bytes that `text` stands for; nullopt: a character of it stands for no byte.
[[nodiscard]] std::optional<std::string> BytesOfToken(absl::string_view text);

// The bytes that `texts` (entries of vocab.json) stand for. A text with a character that stands for
// no byte is taken as it is.
[[nodiscard]] std::string BytesOfTokens(const std::vector<absl::string_view>& texts);

// The end of the word that begins at text[pos]; text is UTF-8, pos < text.size(). Words are the
// matches of
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
[[nodiscard]] size_t WordEnd(absl::string_view text, size_t pos);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_BYTE_LEVEL_H_
