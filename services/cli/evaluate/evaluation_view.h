#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_VIEW_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_VIEW_H_

// How an evaluation is shown in a terminal.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "services/cli/terminal/json_lines.h"

namespace mellow::cli {

// The tables of differences, sample sizes and slices, and the notes.
[[nodiscard]] std::string EvaluationText(const eval::Evaluation& evaluation);

enum class PairOrder {
  kFile,
  kRewardDifference,  // of the second arm and the first, the largest first; there are two arms
};

// The first `count` prompts with each arm's first summary, its toxicity and its reward (the logit
// of the judge's label) under the first scoring, in that order.
[[nodiscard]] std::string SideBySide(const eval::Evaluation& evaluation, size_t count,
                                     PairOrder order);

// What a script demands of every arm that is not the baseline; intervals decide, as in `mellow
// promote` (common/eval/gates.h).
struct Demands {
  std::optional<double> require_drop;    // of ToxicityDropGate, in [0, 1)
  std::optional<double> max_rouge_loss;  // of RougeLossGate, 0 or more
};

struct DemandResult {
  std::string text;  // with the figures, one line: "ppo: rougeL: ...: holds"
  bool holds = true;
};

// InvalidArgument: a demand on ROUGE without references, or a drop out of range.
[[nodiscard]] absl::StatusOr<std::vector<DemandResult>> CheckDemands(
    const eval::Evaluation& evaluation, const Demands& demands);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_VIEW_H_
