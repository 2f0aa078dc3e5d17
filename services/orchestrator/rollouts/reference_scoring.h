#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REFERENCE_SCORING_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REFERENCE_SCORING_H_

#include <memory>
#include <stop_token>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/adapters/peft.h"
#include "services/orchestrator/nodes/node_clients.h"

namespace mellow::orchestrator {

// What the KL of a run is measured against.
struct ReferenceWeights {
  AdapterRef ref;
  // Given to a policy node that does not have them (anymore); null: the base model, which every
  // node has.
  std::shared_ptr<const adapters::PeftFiles> files;
};

// The log-probs of the pairs under the reference, from one policy node: one list per pair, each of
// its target's length and finite. Errors of the client; FailedPrecondition: the node answered with
// other weights; Internal: with something else than was asked for.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<float>>> ScoreUnderReference(
    PolicyClient* client, absl::Span<const TokenPair> pairs, const ReferenceWeights& reference,
    std::stop_token stop);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REFERENCE_SCORING_H_
