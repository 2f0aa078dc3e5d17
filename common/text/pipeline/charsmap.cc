#include "common/text/pipeline/charsmap.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/text/unicode/unicode.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

constexpr size_t kLongestWholeCluster = 5;  // bytes

// The fields of a unit of the double array (the format of darts-clone 0.32).
constexpr uint32_t kLabelMask = 1u << 31 | 0xFF;
bool HasLeaf(uint32_t unit) { return unit >> 8 & 1; }
uint32_t Value(uint32_t unit) { return unit & ((1u << 31) - 1); }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

uint32_t LittleEndian32(absl::string_view bytes, size_t pos) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[pos + i]);
  return value;
}

bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }

}  // namespace

absl::StatusOr<Charsmap> Charsmap::Parse(absl::string_view blob) {
  Charsmap map;
  if (blob.empty()) return map;
  if (blob.size() < 4) return absl::InvalidArgumentError("precompiled_charsmap is cut off");
  const uint32_t trie_bytes = LittleEndian32(blob, 0);
  if (trie_bytes % 4 != 0 || trie_bytes > blob.size() - 4) {
    return absl::InvalidArgumentError(absl::StrCat("precompiled_charsmap of ", blob.size(),
                                                   " bytes cannot hold a trie of ", trie_bytes));
  }
  map.units_.reserve(trie_bytes / 4);
  for (size_t i = 0; i < trie_bytes; i += 4) map.units_.push_back(LittleEndian32(blob, 4 + i));
  map.images_ = std::string(blob.substr(4 + trie_bytes));
  if (FirstInvalidUtf8(map.images_) != absl::string_view::npos) {
    return absl::InvalidArgumentError("precompiled_charsmap maps to text that is not UTF-8");
  }
  for (size_t c = 0; c < map.ascii_.size(); ++c) {
    const char text = static_cast<char>(c);
    if (const auto image = map.ImageOfPrefix({&text, 1})) map.ascii_[c] = std::string(*image);
  }
  return map;
}

std::optional<absl::string_view> Charsmap::ImageOfPrefix(absl::string_view text) const {
  if (units_.empty()) return std::nullopt;
  size_t node = Offset(units_[0]);
  for (const char c : text) {
    const uint8_t byte = static_cast<uint8_t>(c);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || (units_[node] & kLabelMask) != byte)
      return std::nullopt;
    const uint32_t unit = units_[node];
    node ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (node >= units_.size()) return std::nullopt;
    const size_t begin = Value(units_[node]);
    // An image begins at a character; a corrupt map must not cut one.
    if (begin > images_.size() || (begin < images_.size() && (images_[begin] & 0xC0) == 0x80)) {
      return std::nullopt;
    }
    const size_t end = std::min(images_.find('\0', begin), images_.size());
    return absl::string_view(images_).substr(begin, end - begin);
  }
  return std::nullopt;
}

std::string Charsmap::Normalize(absl::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const bool alone = pos + 1 == text.size() || (IsAscii(text[pos + 1]) && text[pos + 1] != '\n');
    if (IsAscii(text[pos]) && alone) {  // most text: no cluster to look for
      const std::optional<std::string>& image = ascii_[static_cast<size_t>(text[pos])];
      if (image.has_value()) {
        out += *image;
      } else {
        out += text[pos];
      }
      ++pos;
      continue;
    }
    const size_t end = GraphemeClusterEnd(text, pos);
    if (end - pos <= kLongestWholeCluster) {
      if (const auto image = ImageOfPrefix(text.substr(pos, end - pos))) {
        out.append(image->data(), image->size());
        pos = end;
        continue;
      }
    }
    while (pos < end) {
      const absl::string_view c = text.substr(pos, DecodeUtf8(text, pos).size);
      const auto image = ImageOfPrefix(c);
      const absl::string_view mapped = image.value_or(c);
      out.append(mapped.data(), mapped.size());
      pos += c.size();
    }
  }
  return out;
}

}  // namespace mellow::text
