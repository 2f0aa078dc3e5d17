#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_RUN_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_RUN_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/eval/evaluation.h"
#include "services/cli/evaluate/evaluation_engines.h"
#include "services/cli/evaluate/evaluation_journal.h"
#include "services/cli/evaluate/evaluation_plan.h"

namespace mellow::cli {

struct EvaluationEngines {
  std::vector<std::unique_ptr<ArmEngine>> arms;  // as Evaluation::arms
  std::unique_ptr<BaseModel> bare;
  std::vector<std::unique_ptr<JudgeEngine>> judges;  // as Evaluation::judges
  int threads = 1;                                   // chunks of prompts worked on at once
};

// What every arm writes for these prompts, and all that is measured of it.
[[nodiscard]] absl::StatusOr<std::vector<eval::PromptRow>> EvaluatePrompts(
    const eval::Evaluation& evaluation, const EvaluationEngines& engines,
    absl::Span<const EvaluationPrompt> prompts);

// Evaluates the prompts that the journal does not have, a few at a time, and returns all rows in
// the order of the prompts. `on_rows(count)` is called, never twice at once, after rows were
// written; `stop()` in several threads at once. Cancelled: it said so; what was finished is in the
// journal. DataLoss: the journal has a row that does not fit.
[[nodiscard]] absl::StatusOr<std::vector<eval::PromptRow>> RunEvaluation(
    const eval::Evaluation& evaluation, const EvaluationEngines& engines,
    absl::Span<const EvaluationPrompt> prompts, std::vector<eval::PromptRow> finished,
    EvaluationJournal* journal, const std::function<void(size_t)>& on_rows,
    const std::function<bool()>& stop);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_RUN_H_
