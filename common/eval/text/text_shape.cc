#include "common/eval/text/text_shape.h"

#include <unordered_set>

#include "absl/strings/ascii.h"
#include "common/eval/text/ngrams.h"
#include "common/text/unicode/unicode.h"
#include "common/text/unicode/utf8.h"

namespace mellow::eval {
namespace {

bool IsWordCharacter(char32_t c) {
  const text::WordClass kind = text::WordClassOf(c);
  return kind == text::WordClass::kLetter || kind == text::WordClass::kNumber;
}

bool IsApostrophe(char32_t c) { return c == U'\'' || c == U'\u2019'; }

double Ratio(size_t part, size_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  std::string word;
  std::string apostrophe;  // behind `word`, if a letter follows
  const auto finish = [&] {
    if (!word.empty()) words.push_back(word);
    word.clear();
    apostrophe.clear();
  };
  for (size_t pos = 0; pos < text.size();) {
    const text::Utf8Char c = text::DecodeUtf8(text, pos);
    const absl::string_view bytes = text.substr(pos, static_cast<size_t>(c.size));
    pos += bytes.size();
    if (c.valid && IsWordCharacter(c.code_point)) {
      word += apostrophe;
      word += absl::AsciiStrToLower(bytes);
      apostrophe.clear();
    } else if (IsApostrophe(c.code_point) && !word.empty() && apostrophe.empty()) {
      apostrophe = std::string(bytes);
    } else {
      finish();
    }
  }
  finish();
  return words;
}

double RepeatedTrigrams(absl::Span<const std::string> words) {
  std::unordered_set<std::string> seen;
  size_t all = 0;
  ForEachNgram(words, 3, [&](const std::string& ngram) {
    seen.insert(ngram);
    ++all;
  });
  return Ratio(all - seen.size(), all);
}

double Distinct(absl::Span<const std::vector<std::string>> texts, size_t n) {
  std::unordered_set<std::string> seen;
  size_t all = 0;
  for (const std::vector<std::string>& words : texts) {
    ForEachNgram(words, n, [&](const std::string& ngram) {
      seen.insert(ngram);
      ++all;
    });
  }
  return Ratio(seen.size(), all);
}

}  // namespace mellow::eval
