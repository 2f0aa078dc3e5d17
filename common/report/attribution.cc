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
constexpr size_t kRunLengths[] = {1, 2, 3, 5, 8};

double LogOdds(double p) {
  p = std::clamp(p, kSmallestProbability, 1 - kSmallestProbability);
  return std::log(p / (1 - p));
}

// All runs of `length` words.
std::vector<Span> RunsOf(const std::string& text, size_t length) {
  std::vector<Span> words;
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && absl::ascii_isspace(text[i])) ++i;
    const size_t begin = i;
    while (i < text.size() && !absl::ascii_isspace(text[i])) ++i;
    if (i > begin) words.push_back({.begin = begin, .end = i});
  }
  std::vector<Span> runs;
  for (size_t w = 0; w + length <= words.size(); ++w)
    runs.push_back({.begin = words[w].begin, .end = words[w + length - 1].end});
  return runs;
}

// Without the span and the white space after it (before it, for the last one).
std::string Without(const std::string& text, const Span& span) {
  size_t begin = span.begin, end = span.end;
  while (end < text.size() && absl::ascii_isspace(text[end])) ++end;
  if (end == text.size()) {
    while (begin > 0 && absl::ascii_isspace(text[begin - 1])) --begin;
  }
  return absl::StrCat(text.substr(0, begin), text.substr(end));
}

bool AnyMarked(const TextEvidence& text) {
  return std::any_of(text.spans.begin(), text.spans.end(),
                     [&](const Span& span) { return MarkOf(text, span) > 0; });
}

// The marked runs that overlap no stronger one, in the order of the text.
std::vector<Span> Strongest(const TextEvidence& text, std::vector<Span> runs) {
  std::stable_sort(runs.begin(), runs.end(),
                   [](const Span& a, const Span& b) { return a.evidence > b.evidence; });
  std::vector<Span> kept;
  for (const Span& run : runs) {
    const bool overlaps = std::any_of(kept.begin(), kept.end(), [&](const Span& other) {
      return run.begin < other.end && other.begin < run.end;
    });
    if (MarkOf(text, run) > 0 && !overlaps) kept.push_back(run);
  }
  std::sort(kept.begin(), kept.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  return kept;
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

int MarkOf(const TextEvidence& text, const Span& span) {
  if (text.toxicity < kMarkedToxicity) return 0;
  int mark = 0;
  for (const double bound : kMarks) mark += span.evidence >= bound ? 1 : 0;
  return mark;
}

absl::StatusOr<std::vector<TextEvidence>> LeaveSpansOut(absl::Span<const std::string> texts,
                                                        size_t batch, const ScoreTexts& score) {
  Scores whole;
  for (const std::string& text : texts) whole[text] = 0;
  MELLOW_RETURN_IF_ERROR(Ask(batch, score, &whole));
  std::vector<TextEvidence> out;
  for (const std::string& text : texts) out.push_back({.toxicity = whole[text]});
  for (const size_t length : kRunLengths) {
    std::vector<std::vector<Span>> runs(texts.size());
    Scores parts;
    for (size_t t = 0; t < texts.size(); ++t) {
      if (out[t].toxicity < kMarkedToxicity || AnyMarked(out[t])) continue;
      runs[t] = RunsOf(texts[t], length);
      for (const Span& run : runs[t]) parts[Without(texts[t], run)] = 0;
    }
    MELLOW_RETURN_IF_ERROR(Ask(batch, score, &parts));
    for (size_t t = 0; t < texts.size(); ++t) {
      for (Span& run : runs[t]) {
        run.toxicity_without = parts[Without(texts[t], run)];
        run.evidence = LogOdds(out[t].toxicity) - LogOdds(run.toxicity_without);
      }
      if (length == 1) {
        out[t].spans = std::move(runs[t]);
      } else if (std::vector<Span> strongest = Strongest(out[t], std::move(runs[t]));
                 !strongest.empty()) {
        out[t].spans = std::move(strongest);
      }
    }
  }
  return out;
}

}  // namespace mellow::report
