#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_JUDGE_STEP_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_JUDGE_STEP_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/run/driver_parts.h"

namespace mellow::orchestrator {

// The positions of the rollouts of a step that its judge scores: `share` of `rollouts` of them, at
// least one, evenly spaced.
[[nodiscard]] std::vector<size_t> JudgedPositions(size_t rollouts, double share);

// What the judge says of its share of a step's rollouts, whose texts are those that the reward
// scores; the gap is left at 0. Waits for a judge node for as long as none is there. `prompts` and
// `rollouts` are those of the step, in one order. Precondition: the run has a judge.
//   Cancelled: the run was asked to end. InvalidArgument: the judge lacks the label (both named).
[[nodiscard]] absl::StatusOr<JudgeFigures> JudgeStep(
    const DriverParts& parts, const RunConfig& config, int step, absl::Span<const Prompt> prompts,
    absl::Span<const Rollout> rollouts, RunObserver* observer, const RunSignals& signals);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_JUDGE_STEP_H_
