#ifndef MELLOW_SERVICES_CLI_EVALUATION_VIEW_H_
#define MELLOW_SERVICES_CLI_EVALUATION_VIEW_H_

// How an evaluation is shown in a terminal.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "services/cli/json_lines.h"

namespace mellow::cli {

// The tables of differences, sample sizes and slices, and the notes.
[[nodiscard]] std::string EvaluationText(const eval::Evaluation& evaluation);

// The first `count` prompts with each arm's first summary and its toxicity under the first scoring.
[[nodiscard]] std::string SideBySide(const eval::Evaluation& evaluation, size_t count);

// The evaluation without its rows, as one object.
[[nodiscard]] Json EvaluationJson(const eval::Evaluation& evaluation);

// What a script demands of every arm that is not the baseline.
struct Demands {
  std::optional<double> require_drop;    // share of the baseline's toxicity that must be gone
  std::optional<double> max_rouge_loss;  // of mean ROUGE-L
};

struct DemandResult {
  std::string text;  // "ppo: toxicity drop 92.0 %, required 80.0 %: holds"
  bool holds = true;
};

// InvalidArgument: a demand on ROUGE without references, or any demand with one arm alone.
[[nodiscard]] absl::StatusOr<std::vector<DemandResult>> CheckDemands(
    const eval::Evaluation& evaluation, const Demands& demands);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATION_VIEW_H_
