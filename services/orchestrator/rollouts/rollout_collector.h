#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_ROLLOUT_COLLECTOR_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_ROLLOUT_COLLECTOR_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/text/tokenizer.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/ledger/ledger.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/orchestrator/nodes/orchestrator_metrics.h"
#include "services/orchestrator/rollouts/reference_scoring.h"

namespace mellow::orchestrator {

// What a collection works with. All must outlive it.
struct CollectorParts {
  Ledger* ledger = nullptr;
  NodeRegistry* registry = nullptr;
  NodeClients* clients = nullptr;
  OrchestratorMetrics* metrics = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  RunObserver* observer = nullptr;
  RunSignals signals;
  int32_t decoder_start_token_id = 0;  // of the policy
};

struct CollectTask {
  std::string run_id;
  int step = 0;
  std::vector<Prompt> prompts;  // of the whole step, in order
  AdapterRef weights;           // whose hash every rollout must have
  AdapterRef served;            // the same weights under the version that the policies know
  double expected_tokens = 0;   // per response, for predictions; 0: as many as allowed
  // What the nodes compute for the learner. Both only where it would compute the same numbers.
  std::string value_head;                     // of `weights`, as GenerateCall's; empty: no values
  std::optional<ReferenceWeights> reference;  // none: no log-probs under the reference
};

struct Collected {
  std::vector<Rollout> rollouts;  // one per prompt, in order, all scored
  double generate_seconds = 0;    // until the last shard was sampled
  double reward_seconds = 0;      // from then until the last text was scored
  double reference_seconds = 0;   // from then until the log-probs under the reference were there
  int64_t tokens_sampled = 0;     // in this call, not in an earlier life
  // As RunPins::devices, of this call.
  std::map<NodeRole, std::set<std::string>> devices = {};
};

// Samples and scores one step: shards are leased to the policy nodes by ShardScheduler, and each
// shard's texts go to a reward node as soon as the shard is there. Policy nodes with nothing to
// sample score shards under the reference; where none does, rollouts have no reference log-probs.
// What the ledger has is not sampled or scored again; what comes is in the ledger before it counts.
//   Cancelled: the run was asked to end; leases in progress were recorded (stop) or given up
//   (shutdown). Anything else: no node can ever do it (a wrong label, a request that the policies
//   refuse), or the ledger failed.
[[nodiscard]] absl::StatusOr<Collected> CollectStep(const CollectorParts& parts,
                                                    const RunConfig& config,
                                                    const CollectTask& task);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_ROLLOUT_COLLECTOR_H_
