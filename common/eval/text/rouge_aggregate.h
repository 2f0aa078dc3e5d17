#ifndef MELLOW_COMMON_EVAL_TEXT_ROUGE_AGGREGATE_H_
#define MELLOW_COMMON_EVAL_TEXT_ROUGE_AGGREGATE_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/eval/text/rouge.h"
#include "common/stats/bootstrap.h"

namespace mellow::eval {

struct RougeInterval {
  stats::MeanInterval precision;
  stats::MeanInterval recall;
  stats::MeanInterval fmeasure;
};

struct RougeAggregate {
  RougeInterval rouge1;
  RougeInterval rouge2;
  RougeInterval rouge_l;
  RougeInterval rouge_lsum;
};

// Means over rows with bootstrap intervals, rows resampled whole: what rouge_score's
// BootstrapAggregator computes, but for two things. Draws are counter-based and so the same on
// every machine, and there are 10,000 of them by default instead of 1,000. And `mean` is the mean
// of the rows, where rouge_score's `mid` is the median of the resampled means. Errors as
// BootstrapMeans.
[[nodiscard]] absl::StatusOr<RougeAggregate> AggregateRouge(absl::Span<const RougeScores> rows,
                                                            const stats::BootstrapOptions& options);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_TEXT_ROUGE_AGGREGATE_H_
