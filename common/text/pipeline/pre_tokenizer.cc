#include "common/text/pipeline/pre_tokenizer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/text/pipeline/byte_level.h"
#include "common/text/unicode/unicode.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

// next(piece, at_start) goes on with a piece, and returns false to stop.

template <typename Next>
bool Cut(const WhitespaceSplit&, absl::string_view text, bool at_start, Next next) {
  size_t begin = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = DecodeUtf8(text, pos);
    const size_t end = pos + c.size;
    if (IsWhiteSpace(c.code_point)) {
      if (pos > begin && !next(text.substr(begin, pos - begin), at_start && begin == 0))
        return false;
      begin = end;
    }
    pos = end;
  }
  return begin == text.size() || next(text.substr(begin), at_start && begin == 0);
}

template <typename Next>
bool Cut(const Metaspace& metaspace, absl::string_view text, bool at_start, Next next) {
  const std::string& replacement = metaspace.replacement;
  const bool wanted = metaspace.prepend == Metaspace::Prepend::kAlways ||
                      (metaspace.prepend == Metaspace::Prepend::kFirst && at_start);
  std::string word;
  if (wanted && text.front() != ' ' && !absl::StartsWith(text, replacement)) word = replacement;
  bool first = true;
  const auto flush = [&] {
    if (word.empty()) return true;
    const bool more = next(word, at_start && first);
    first = false;
    word.clear();
    return more;
  };
  while (!text.empty()) {
    const bool space = text.front() == ' ';
    if (space || absl::StartsWith(text, replacement)) {
      if (metaspace.split && !flush()) return false;
      word += replacement;
      text.remove_prefix(space ? 1 : replacement.size());
      continue;
    }
    size_t end = 1;
    while (end < text.size() && text[end] != ' ' && text[end] != replacement.front()) ++end;
    word.append(text.data(), end);
    text.remove_prefix(end);
  }
  return flush();
}

template <typename Next>
bool Cut(const ByteLevelSplit& split, absl::string_view text, bool at_start, Next next) {
  std::string prefixed;
  if (split.add_prefix_space && text.front() != ' ') {
    prefixed = absl::StrCat(" ", text);
    text = prefixed;
  }
  if (!split.use_regex) return next(text, at_start);
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = WordEnd(text, pos);
    if (!next(text.substr(pos, end - pos), at_start && pos == 0)) return false;
    pos = end;
  }
  return true;
}

}  // namespace

bool PreTokenizer::Run(size_t step, absl::string_view text, bool at_start, Visit visit) const {
  if (step == steps_.size()) return visit(text);
  return std::visit(
      [&](const auto& s) {
        return Cut(s, text, at_start, [&](absl::string_view piece, bool piece_at_start) {
          return Run(step + 1, piece, piece_at_start, visit);
        });
      },
      steps_[step]);
}

}  // namespace mellow::text
