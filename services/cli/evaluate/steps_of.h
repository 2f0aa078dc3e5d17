#ifndef MELLOW_SERVICES_CLI_EVALUATE_STEPS_OF_H_
#define MELLOW_SERVICES_CLI_EVALUATE_STEPS_OF_H_

// mellow evaluate --steps-of: which step of a run made the best adapter? Every step is an arm of
// one evaluation, on the same prompts with the same random numbers, and because the best of many is
// chosen, their intervals hold together.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "common/eval/promotion_gates.h"
#include "common/json/value.h"
#include "services/cli/cluster/run_names.h"
#include "services/cli/evaluate/evaluation_session.h"

namespace mellow::cli {

// The arms of a run's kept steps, "RUN_ID@STEP" in their order: those that `every` divides, and the
// newest; without those whose weights are the baseline's or an earlier step's. As FindRun;
// InvalidArgument: a supervised run; FailedPrecondition: no step is kept.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ArmsOfSteps(
    const KeptAdapters& kept, const std::string& run, int every,
    const std::string& baseline_sha256);

// Makes the intervals and tests of `arms` comparisons hold all at once with the confidence that one
// of them had: Bonferroni's correction (each gets 1 - (1 - confidence) / arms, and alpha / arms),
// which supposes nothing about how the arms are related, so whichever arm is chosen, its interval
// holds. There are as many resamples and permutations as its tails need.
void CorrectForChoosing(size_t arms, eval::EvaluationConfig* config);

// Evaluates one arm of the session after the other, so that the servers need hold one adapter at a
// time. The rows of each are kept in a folder of its own below `out` and serve again, also with
// other steps beside it. Fills session->evaluation.rows. `on_rows`, `stop` and errors as
// RunEvaluation's.
[[nodiscard]] absl::Status EvaluateArmByArm(EvaluationSession* session, const std::string& out,
                                            bool fresh, const std::function<void(size_t)>& on_rows,
                                            const std::function<bool()>& stop);

struct StepFinding {
  std::string arm;  // "RUN_ID@STEP"
  std::vector<eval::GateResult> gates;
  bool holds = false;  // all of them
};
struct StepFindings {
  std::vector<StepFinding> steps;  // as Evaluation::comparisons
  // Whose toxicity chooses: that of the first independent judge, without one the reward's.
  eval::Scoring scoring;
  // The least toxic one whose gates all hold; none: no step is to be promoted.
  std::optional<size_t> best;
};
// By the gates of `mellow promote`. `evaluation` is analyzed. Errors as PromotionGates.
[[nodiscard]] absl::StatusOr<StepFindings> JudgeSteps(const eval::Evaluation& evaluation,
                                                      const eval::GateOptions& options);

// `confidence`: that all intervals hold at once with.
[[nodiscard]] std::string StepsText(const eval::Evaluation& evaluation,
                                    const StepFindings& findings, double confidence);
[[nodiscard]] json::Value StepsJson(const eval::Evaluation& evaluation,
                                    const StepFindings& findings, double confidence);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_STEPS_OF_H_
