#include "common/text/pipeline/byte_level.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "common/text/unicode/unicode.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

// Printable characters of Latin-1 stand for themselves, the other bytes for U+0100 and up, in byte
// order.
constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kCharacterEnd = 0x144;  // behind the last character that stands for a byte

constexpr std::array<char32_t, 256> MakeCharacters() {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    characters[byte] = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return characters;
}

constexpr std::array<char32_t, 256> kCharacters = MakeCharacters();

constexpr std::array<int16_t, kCharacterEnd> MakeBytes() {
  std::array<int16_t, kCharacterEnd> bytes{};
  for (int16_t& byte : bytes) byte = -1;
  for (int byte = 0; byte < 256; ++byte) bytes[kCharacters[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<int16_t, kCharacterEnd> kBytes = MakeBytes();  // -1: stands for no byte

// The end of the run of characters of one class.
size_t RunEnd(absl::string_view text, size_t pos, WordClass word_class) {
  while (pos < text.size()) {
    const Utf8Char c = DecodeUtf8(text, pos);
    if (WordClassOf(c.code_point) != word_class) break;
    pos += c.size;
  }
  return pos;
}

size_t SpaceEnd(absl::string_view text, size_t pos) {
  const size_t end = RunEnd(text, pos, WordClass::kSpace);
  if (end == text.size()) return end;
  // The last space before a word is left to the word, or stands alone if there is no other.
  size_t last = end - 1;
  while (last > pos && (text[last] & 0xC0) == 0x80) --last;
  return last > pos ? last : end;
}

}  // namespace

const std::array<std::string, 256>& ByteCharacters() {
  static const std::array<std::string, 256>* const strings = [] {
    auto* made = new std::array<std::string, 256>;
    for (int byte = 0; byte < 256; ++byte) AppendUtf8(kCharacters[byte], &(*made)[byte]);
    return made;
  }();
  return *strings;
}

std::optional<std::string> BytesOfToken(absl::string_view text) {
  std::string bytes;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = DecodeUtf8(text, pos);
    if (c.code_point >= kCharacterEnd || kBytes[c.code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kBytes[c.code_point]));
    pos += c.size;
  }
  return bytes;
}

std::string BytesOfTokens(const std::vector<absl::string_view>& texts) {
  std::string bytes;
  for (const absl::string_view text : texts)
    bytes += BytesOfToken(text).value_or(std::string(text));
  return bytes;
}

size_t WordEnd(absl::string_view text, size_t pos) {
  if (text[pos] == '\'') {
    for (const absl::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      if (absl::StartsWith(text.substr(pos), suffix)) return pos + suffix.size();
    }
  }
  const size_t begin = text[pos] == ' ' && pos + 1 < text.size() ? pos + 1 : pos;
  const WordClass word_class = WordClassOf(DecodeUtf8(text, begin).code_point);
  return word_class == WordClass::kSpace ? SpaceEnd(text, pos) : RunEnd(text, begin, word_class);
}

}  // namespace mellow::text
