#include "common/text/pipeline/normalizer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/text/unicode/unicode.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

// The next place to replace in `text`, at or behind `pos`, and its end; npos: none.
struct Match {
  size_t begin, end;
};

Match NextMatch(absl::string_view text, absl::string_view pattern, size_t pos) {
  if (!pattern.empty()) {
    const size_t begin = text.find(pattern, pos);
    return {begin, begin + pattern.size()};
  }
  const size_t begin = text.find("  ", pos);
  if (begin == absl::string_view::npos) return {begin, begin};
  const size_t end = text.find_first_not_of(' ', begin);
  return {begin, end == absl::string_view::npos ? text.size() : end};
}

// Visits the parts of `text` that stay and the places to replace, in turn.
template <typename Kept, typename Replaced>
void ForEachMatch(absl::string_view text, absl::string_view pattern, Kept kept, Replaced replaced) {
  size_t pos = 0;
  for (;;) {
    const Match match = NextMatch(text, pattern, pos);
    if (match.begin == absl::string_view::npos) break;
    kept(text.substr(pos, match.begin - pos));
    replaced();
    pos = match.end;
  }
  kept(text.substr(pos));
}

std::string Apply(const Charsmap& charsmap, std::string text) { return charsmap.Normalize(text); }

std::string Apply(const Strip& strip, std::string text) {
  size_t begin = text.size(), end = 0;  // of what is not white space
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = DecodeUtf8(text, pos);
    if (!IsWhiteSpace(c.code_point)) {
      begin = std::min(begin, pos);
      end = pos + c.size;
    }
    pos += c.size;
  }
  if (strip.right) text.resize(end);
  if (strip.left) text.erase(0, std::min(begin, text.size()));
  return text;
}

std::string Apply(const Replace& replace, std::string text) {
  size_t size = 0;
  ForEachMatch(
      text, replace.pattern, [&](absl::string_view part) { size += part.size(); },
      [&] { size += replace.content.size(); });
  std::string out;
  out.reserve(size);  // exactly: a text may be large
  ForEachMatch(
      text, replace.pattern, [&](absl::string_view part) { out.append(part.data(), part.size()); },
      [&] { out += replace.content; });
  return out;
}

std::string Apply(const Prepend& prepend, std::string text) {
  if (!text.empty()) text.insert(0, prepend.prefix);
  return text;
}

}  // namespace

std::string Normalizer::Normalize(absl::string_view text, bool* moved) const {
  std::string out;
  bool first = true;
  for (const Step& step : steps_) {
    // The first step reads the caller's text: a character map, which comes first, needs no copy.
    if (first && std::holds_alternative<Charsmap>(step)) {
      out = std::get<Charsmap>(step).Normalize(text);
    } else {
      if (first) out = std::string(text);
      const auto* strip = std::get_if<Strip>(&step);
      if (moved != nullptr && strip != nullptr && strip->left && !out.empty()) {
        *moved = *moved || IsWhiteSpace(DecodeUtf8(out, 0).code_point);
      }
      out = std::visit([&](const auto& s) { return Apply(s, std::move(out)); }, step);
    }
    first = false;
  }
  if (first) return std::string(text);
  return out;
}

}  // namespace mellow::text
