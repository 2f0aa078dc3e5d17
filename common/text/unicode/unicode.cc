#include "common/text/unicode/unicode.h"

#include <algorithm>
#include <iterator>

#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

// kExtend: joins the cluster before it (Extend, ZWJ, SpacingMark); kPrepend: joins the one behind
// it.
enum class GraphemeClass : unsigned char { kOther, kExtend, kPrepend, kControl };
enum class WordCharacter : unsigned char { kOther, kYes };

template <typename Class>
struct Range {
  char32_t first;
  char32_t last;
  Class value;
};

#include "common/text/unicode/unicode_tables.inc"

template <typename Class, size_t n>
Class Find(const Range<Class> (&table)[n], char32_t code_point) {
  const auto* range =
      std::upper_bound(std::begin(table), std::end(table), code_point,
                       [](char32_t c, const Range<Class>& r) { return c < r.first; });
  if (range == std::begin(table)) return Class::kOther;
  --range;
  return code_point <= range->last ? range->value : Class::kOther;
}

GraphemeClass GraphemeClassOf(char32_t code_point) {
  if (code_point >= 0x20 && code_point < 0x7F) return GraphemeClass::kOther;
  return Find(kGraphemeClasses, code_point);
}

}  // namespace

bool IsWhiteSpace(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

WordClass WordClassOf(char32_t c) {
  if (c < 0x80) {
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return WordClass::kLetter;
    if (c >= '0' && c <= '9') return WordClass::kNumber;
    return c == ' ' || (c >= 0x09 && c <= 0x0D) ? WordClass::kSpace : WordClass::kOther;
  }
  if (IsWhiteSpace(c)) return WordClass::kSpace;
  return Find(kWordClasses, c);
}

bool IsWordCharacter(char32_t c) { return Find(kWordCharacters, c) == WordCharacter::kYes; }

size_t GraphemeClusterEnd(absl::string_view text, size_t pos) {
  Utf8Char c = DecodeUtf8(text, pos);
  size_t end = pos + c.size;
  if (end == text.size()) return end;
  if (c.code_point == '\r' && text[end] == '\n') return end + 1;
  GraphemeClass before = GraphemeClassOf(c.code_point);
  // Nothing joins a control character; ASCII joins nothing but a Prepend.
  while (end < text.size() && before != GraphemeClass::kControl) {
    if (static_cast<unsigned char>(text[end]) < 0x80 && before != GraphemeClass::kPrepend) break;
    c = DecodeUtf8(text, end);
    const GraphemeClass next = GraphemeClassOf(c.code_point);
    if (next == GraphemeClass::kControl) break;
    if (next != GraphemeClass::kExtend && before != GraphemeClass::kPrepend) break;
    end += c.size;
    before = next;
  }
  return end;
}

}  // namespace mellow::text
