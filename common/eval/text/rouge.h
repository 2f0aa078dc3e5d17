#ifndef MELLOW_COMMON_EVAL_TEXT_ROUGE_H_
#define MELLOW_COMMON_EVAL_TEXT_ROUGE_H_

// ROUGE (Lin, 2004) with the numbers of Google's rouge_score package, which published figures come
// from.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow::eval {

struct RougeScore {
  double precision = 0;
  double recall = 0;
  double fmeasure = 0;
};

struct RougeScores {
  RougeScore rouge1;
  RougeScore rouge2;
  RougeScore rouge_l;     // newlines are spaces
  RougeScore rouge_lsum;  // summary level: sentences are lines
};

// For each type the score against the reference with the highest F-measure (the first of equal
// ones). InvalidArgument: no reference, or texts so long that their comparison would need over 4e8
// cells.
[[nodiscard]] absl::StatusOr<RougeScores> ScoreRouge(absl::string_view prediction,
                                                     absl::Span<const std::string> references,
                                                     bool stemmer);

// Lower-case runs of ASCII letters and digits; with `stemmer`, words of more than three letters are
// stemmed.
[[nodiscard]] std::vector<std::string> RougeTokens(absl::string_view text, bool stemmer);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_TEXT_ROUGE_H_
