#ifndef MELLOW_COMMON_REPORT_ATTRIBUTION_H_
#define MELLOW_COMMON_REPORT_ATTRIBUTION_H_

// Which words make a text toxic, as a judge sees it: it is asked again with each word left out. An
// insult of several words ("spineless failure") stays toxic when one of them goes; where no single
// word tells, runs of two, three, five and eight words are left out.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::report {

// Neighboring words (runs without white space) at bytes [begin, end) of their text.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  double toxicity_without = 0;  // P(toxic) of the text without them
  // Log-odds of P(toxic) with the words less those without: what they add. Probabilities are held
  // within [1e-6, 1 - 1e-6], so it is at most about 28.
  double evidence = 0;
};

struct TextEvidence {
  double toxicity = 0;  // P(toxic) of the whole text
  // Every single word, or, when none of them is marked, the marked runs of the shortest length that
  // has any; where runs overlap, the strongest. In the order of the text.
  std::vector<Span> spans;
};

// How strongly a span is marked: 0 (not at all) to 3. Spans are marked only in texts with P(toxic)
// of at least kMarkedToxicity, from an evidence of 0.5, 1.5 and 3 on.
inline constexpr double kMarkedToxicity = 0.2;
[[nodiscard]] int MarkOf(const TextEvidence& text, const Span& span);

// P(toxic) of each text, in order.
using ScoreTexts =
    std::function<absl::StatusOr<std::vector<double>>(const std::vector<std::string>&)>;

// As `texts`. Equal texts are asked for once, `batch` at a time; texts below kMarkedToxicity keep
// no spans. The judge's first error is returned; Internal when it answers with another number of
// scores.
[[nodiscard]] absl::StatusOr<std::vector<TextEvidence>> LeaveSpansOut(
    absl::Span<const std::string> texts, size_t batch, const ScoreTexts& score);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_ATTRIBUTION_H_
