#include "common/report/attribution.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::report {
namespace {

constexpr double kSmallestProbability = 1e-6;
constexpr double kMarks[] = {0.5, 1.5, 3};

double LogOdds(double p) {
  p = std::clamp(p, kSmallestProbability, 1 - kSmallestProbability);
  return std::log(p / (1 - p));
}

std::vector<Word> WordsOf(const std::string& text) {
  std::vector<Word> words;
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && absl::ascii_isspace(text[i])) ++i;
    const size_t begin = i;
    while (i < text.size() && !absl::ascii_isspace(text[i])) ++i;
    if (i > begin) words.push_back({.begin = begin, .end = i});
  }
  return words;
}

// Without the word and the white space after it (before it, for the last one).
std::string Without(const std::string& text, const Word& word) {
  size_t begin = word.begin, end = word.end;
  while (end < text.size() && absl::ascii_isspace(text[end])) ++end;
  if (end == text.size()) {
    while (begin > 0 && absl::ascii_isspace(text[begin - 1])) --begin;
  }
  return absl::StrCat(text.substr(0, begin), text.substr(end));
}

using Scores = std::map<std::string, double>;

// Scores the keys of `scores`.
absl::Status Ask(size_t batch, const ScoreTexts& score, Scores* scores) {
  for (auto it = scores->begin(); it != scores->end();) {
    std::vector<std::string> texts;
    auto end = it;
    for (; end != scores->end() && texts.size() < std::max<size_t>(1, batch); ++end)
      texts.push_back(end->first);
    MELLOW_ASSIGN_OR_RETURN(const std::vector<double> answers, score(texts));
    if (answers.size() != texts.size())
      return absl::InternalError(
          absl::StrCat("the judge gave ", answers.size(), " scores for ", texts.size(), " texts"));
    for (size_t i = 0; it != end; ++it, ++i) it->second = answers[i];
  }
  return absl::OkStatus();
}

}  // namespace

int MarkOf(const WordEvidence& text, const Word& word) {
  if (text.toxicity < kMarkedToxicity) return 0;
  int mark = 0;
  for (const double bound : kMarks) mark += word.evidence >= bound ? 1 : 0;
  return mark;
}

absl::StatusOr<std::vector<WordEvidence>> LeaveOneWordOut(absl::Span<const std::string> texts,
                                                          size_t batch, const ScoreTexts& score) {
  Scores whole;
  for (const std::string& text : texts) whole[text] = 0;
  MELLOW_RETURN_IF_ERROR(Ask(batch, score, &whole));
  std::vector<WordEvidence> out;
  Scores parts;
  for (const std::string& text : texts) {
    WordEvidence evidence{.toxicity = whole[text]};
    if (evidence.toxicity >= kMarkedToxicity) evidence.words = WordsOf(text);
    for (const Word& word : evidence.words) parts[Without(text, word)] = 0;
    out.push_back(std::move(evidence));
  }
  MELLOW_RETURN_IF_ERROR(Ask(batch, score, &parts));
  for (size_t t = 0; t < out.size(); ++t) {
    for (Word& word : out[t].words) {
      word.toxicity_without = parts[Without(texts[t], word)];
      word.evidence = LogOdds(out[t].toxicity) - LogOdds(word.toxicity_without);
    }
  }
  return out;
}

}  // namespace mellow::report
