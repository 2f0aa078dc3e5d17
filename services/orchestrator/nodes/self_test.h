#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_SELF_TEST_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_SELF_TEST_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/orchestrator/base/types.h"
#include "services/orchestrator/nodes/node_clients.h"

namespace mellow::orchestrator {

struct SelfTestFigures {
  double sampler_gap = 0;    // largest |sampler - learner| log-prob of the first rollouts
  double batch_gap = 0;      // largest |alone - in a batch|
  double value_gap = 0;      // largest |node - learner| value; 0 when the nodes gave none
  double reference_gap = 0;  // largest |current - reference|; 0 when the reference is another one
  bool reference_tested = false;
  double node_reference_gap = 0;  // largest |node - learner| under the reference; 0 as value_gap
};

// Scores pairs at the learner with the current weights, or with the reference.
using LearnerScorer =
    std::function<absl::StatusOr<PairScores>(const std::vector<TokenPair>& pairs, bool reference)>;

// What must hold before the first update, or PPO would optimize noise:
//   the sampler's log-probs are the learner's, to within `sampler_bound`;
//   log-probs do not depend on padding or batch mates (a pair alone against the same pair in a
//   batch);
//   values and reference log-probs that came from the nodes are the learner's;
//   the KL to the reference is zero, when the reference is what the run starts from.
// FailedPrecondition with the figures when one does not hold; the scorer's errors as they are.
[[nodiscard]] absl::StatusOr<SelfTestFigures> SelfTest(const std::vector<Rollout>& rollouts,
                                                       bool reference_is_start, double bound,
                                                       double sampler_bound,
                                                       const LearnerScorer& score);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_SELF_TEST_H_
