#include "common/eval/text/rouge_aggregate.h"

#include <vector>

#include "common/base/status.h"

namespace mellow::eval {

absl::StatusOr<RougeAggregate> AggregateRouge(absl::Span<const RougeScores> rows,
                                              const stats::BootstrapOptions& options) {
  constexpr RougeScore RougeScores::*kTypes[] = {&RougeScores::rouge1, &RougeScores::rouge2,
                                                 &RougeScores::rouge_l, &RougeScores::rouge_lsum};
  constexpr double RougeScore::*kParts[] = {&RougeScore::precision, &RougeScore::recall,
                                            &RougeScore::fmeasure};
  std::vector<std::vector<double>> series;
  for (const auto type : kTypes) {
    for (const auto part : kParts) {
      std::vector<double>& values = series.emplace_back();
      for (const RougeScores& row : rows) values.push_back(row.*type.*part);
    }
  }
  MELLOW_ASSIGN_OR_RETURN(const std::vector<stats::MeanInterval> means,
                          stats::BootstrapMeans(series, options));
  const auto interval = [&means](size_t type) {
    return RougeInterval{means[3 * type], means[3 * type + 1], means[3 * type + 2]};
  };
  return RougeAggregate{interval(0), interval(1), interval(2), interval(3)};
}

}  // namespace mellow::eval
