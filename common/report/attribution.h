#ifndef MELLOW_COMMON_REPORT_ATTRIBUTION_H_
#define MELLOW_COMMON_REPORT_ATTRIBUTION_H_

// Which words make a text toxic, as a judge sees it: it is asked again with each word left out.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::report {

// A word (a run without white space) at bytes [begin, end) of its text.
struct Word {
  size_t begin = 0;
  size_t end = 0;
  double toxicity_without = 0;  // P(toxic) of the text without it
  // Log-odds of P(toxic) with the word less those without it: what the word adds. Probabilities
  // are held within [1e-6, 1 - 1e-6], so it is at most about 28.
  double evidence = 0;
};

struct WordEvidence {
  double toxicity = 0;  // P(toxic) of the whole text
  std::vector<Word> words;
};

// How strongly a word is marked: 0 (not at all) to 3. Words are marked only in texts with P(toxic)
// of at least kMarkedToxicity, from an evidence of 0.5, 1.5 and 3 on.
inline constexpr double kMarkedToxicity = 0.2;
[[nodiscard]] int MarkOf(const WordEvidence& text, const Word& word);

// P(toxic) of each text, in order.
using ScoreTexts =
    std::function<absl::StatusOr<std::vector<double>>(const std::vector<std::string>&)>;

// As `texts`. Equal texts are asked for once, `batch` at a time; texts below kMarkedToxicity keep
// no words. The judge's first error is returned; Internal when it answers with another number of
// scores.
[[nodiscard]] absl::StatusOr<std::vector<WordEvidence>> LeaveOneWordOut(
    absl::Span<const std::string> texts, size_t batch, const ScoreTexts& score);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_ATTRIBUTION_H_
