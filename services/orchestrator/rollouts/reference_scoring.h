#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REFERENCE_SCORING_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REFERENCE_SCORING_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/peft.h"
#include "common/base/steady_time.h"
#include "common/leases/shard_scheduler.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// What the KL of a run is measured against.
struct ReferenceWeights {
  AdapterRef ref;
  // Given to a policy node that does not have them (anymore); null: the base model, which every
  // node has.
  std::shared_ptr<const adapters::PeftFiles> files;
};

// Scores the sampled shards under the reference, at policy nodes that have nothing to sample.
// Nobody depends on it: what no node does, the learner computes. So it takes no node's place, a
// node that fails is not asked again and nothing else happens to it, and whoever waits may stop
// waiting. Belongs to one thread, which runs `mailbox`; calls run in threads of their own.
class ReferenceScoring {
 public:
  struct Parts {
    NodeRegistry* registry = nullptr;
    NodeClients* clients = nullptr;
    Mailbox* mailbox = nullptr;
  };
  using PairsOf = std::function<std::vector<TokenPair>(int shard)>;
  // Keeps the log-probs, one list per pair, each of its target's length and finite. In the owner's
  // thread, if they are the first ones for the shard.
  using Keep = std::function<absl::Status(int shard, std::vector<std::vector<float>> logprobs)>;

  // All must outlive it. `doing`: for messages. `tokens`: of each shard, in the unit of the nodes'
  // speed. A call that takes longer than `lease` is repeated elsewhere.
  ReferenceScoring(ReferenceWeights reference, std::string doing, std::vector<double> tokens,
                   absl::Duration lease, Parts parts, PairsOf pairs_of, Keep keep);
  // Gives up the calls in progress and joins them.
  ~ReferenceScoring();
  ReferenceScoring(const ReferenceScoring&) = delete;
  ReferenceScoring& operator=(const ReferenceScoring&) = delete;

  // A shard that is sampled, or that has its log-probs.
  void Offer(int shard) { scheduler_.Offer(shard); }
  void MarkDone(int shard) { scheduler_.MarkDone(shard); }

  // Looks at the nodes and the clock, and starts calls at those that are ready and not `busy`.
  void Advance(SteadyTime now, const std::function<bool(const std::string& node_id)>& busy);
  [[nodiscard]] SteadyTime NextEvent(SteadyTime now) const { return scheduler_.NextEvent(now); }

  [[nodiscard]] int remaining() const { return scheduler_.remaining(); }
  [[nodiscard]] bool calling() const { return !flights_.empty(); }
  // The error of `keep`.
  [[nodiscard]] const absl::Status& failure() const { return failure_; }

 private:
  using LogProbs = absl::StatusOr<std::vector<std::vector<float>>>;
  struct Flight {
    NodeHandle node;
    std::stop_source give_up;
    std::jthread thread;  // last: joined before the rest goes
  };

  void Start(const ShardScheduler::Lease& lease, const NodeHandle& node);
  void OnDone(const ShardScheduler::Lease& lease, LogProbs logprobs);

  const ReferenceWeights reference_;
  const std::string doing_;
  const Parts parts_;
  const PairsOf pairs_of_;
  const Keep keep_;
  ShardScheduler scheduler_;
  std::set<std::string> known_;                           // nodes that the scheduler was told of
  std::set<std::pair<std::string, std::string>> failed_;  // by node id and incarnation
  absl::Status failure_;
  std::map<int64_t, Flight> flights_;  // by lease id
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REFERENCE_SCORING_H_
