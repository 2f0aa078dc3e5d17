#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_MODEL_PINS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_MODEL_PINS_H_

// A run depends on the models that its nodes loaded as much as on its seed. What the first nodes of
// a run had is pinned in the ledger; a node with anything else gets no work of that run.

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/base/types.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// The node's answer to CanaryTexts (canary.h), within a minute.
[[nodiscard]] absl::StatusOr<ScoreAnswer> ScoreCanaryTexts(RewardClient* client,
                                                           std::stop_token stop);

// OK when the `answer` of a node of the role (reward or judge, of which `pins` has a canary) to
// ScoreCanaryTexts has the pinned labels and, within rounding, the pinned logits.
// FailedPrecondition with the figures.
[[nodiscard]] absl::Status CheckScoreCanary(NodeRole role, const RunPins& pins,
                                            const ScoreAnswer& answer);

// Pins what `pins` lacks by the nodes that are there; waits for them, and tells `observer` for
// which. A role whose nodes do not say their hash (of an older version) stays without a pin.
// Policies are pinned to the learner's model when one of them has it. `judge`: the run has one,
// which is pinned as the reward is.
//   Cancelled: `stop`. FailedPrecondition: the nodes of one role have different models (named), so
//   it cannot be known which one is meant.
[[nodiscard]] absl::StatusOr<RunPins> PinModels(RunPins pins, NodeRegistry* registry,
                                                NodeClients* clients, RunObserver* observer,
                                                bool judge, std::stop_token stop);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_MODEL_PINS_H_
