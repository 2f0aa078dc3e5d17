#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_JUDGE_STEP_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_JUDGE_STEP_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/rollouts/rollout_collector.h"

namespace mellow::orchestrator {

// The positions of the rollouts of a step that its judge scores: `share` of `rollouts` of them, at
// least one, evenly spaced.
[[nodiscard]] std::vector<size_t> JudgedPositions(size_t rollouts, double share);

// What the judge says of its share of a step's rollouts, whose texts are those that the reward
// scores; the gap is left at 0. They are leased to the judge nodes as texts are to the rewards, and
// wait for as long as no judge is there. `prompts` and `rollouts` are those of the step, in one
// order. Precondition: the run has a judge.
//   Cancelled: the run was asked to end. Anything else: no judge node can ever do it
//   (InvalidArgument: they lack the label, named with those that they have).
[[nodiscard]] absl::StatusOr<JudgeFigures> JudgeStep(const CollectorParts& parts,
                                                     const RunConfig& config, int step,
                                                     absl::Span<const Prompt> prompts,
                                                     absl::Span<const Rollout> rollouts);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_JUDGE_STEP_H_
