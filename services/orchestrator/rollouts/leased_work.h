#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_LEASED_WORK_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_LEASED_WORK_H_

#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/steady_time.h"
#include "common/leases/shard_scheduler.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/orchestrator/nodes/orchestrator_metrics.h"

namespace mellow::orchestrator {

// The shards of one kind of work (sampling, scoring), leased to the nodes of one role until each is
// done once. A node that is lost, late, busy, broken or not able to do it costs time, never the
// work; what follows for it depends on the need.
//
// Belongs to one thread, which runs `mailbox`; calls run in threads of their own.
class LeasedWork {
 public:
  // An answer that comes after the lease's deadline may still be the first; a call is given up
  // after this many leases.
  static constexpr int kCallLeases = 4;

  enum class Need {
    // RemedyFor says what happens to a node that fails. One that is left behind (late, and another
    // one did its shard meanwhile) is quarantined until it passes its canary. Calls measure a
    // node's speed. The work fails when no node is left that might do it.
    kNeeded,
    // Nobody depends on it. A node that fails is not asked again for it, and nothing else happens
    // to it.
    kSpare,
  };

  // What a call brought, made in the call's thread.
  struct Outcome {
    absl::Status status;
    bool wrong_weights = false;  // it answered with other weights than it had to
    double work = 0;             // done, in the unit of the nodes' speed
    // Keeps the answer. Called in the owner's thread, if it is the first one for the shard; its
    // error ends the whole.
    std::function<absl::Status()> record;
  };
  using Call = std::function<Outcome(std::stop_token)>;
  // Makes the call of a shard to a node; an error ends the whole. In the owner's thread.
  using MakeCall = std::function<absl::StatusOr<Call>(int shard, const NodeHandle& node)>;

  struct Parts {
    NodeRegistry* registry = nullptr;
    OrchestratorMetrics* metrics = nullptr;
    Mailbox* mailbox = nullptr;
    std::stop_token shutdown;  // calls in progress are given up
  };

  // `parts` must outlive it. `doing`: for messages ("step 3: generate"). `capacity`: shards that a
  // node may have at once; 0: none for now. It may change with more than the registry only for
  // spare work.
  LeasedWork(NodeRole role, std::string doing, Parts parts, ShardScheduler scheduler,
             std::function<int(const NodeHandle&)> capacity, MakeCall make_call,
             Need need = Need::kNeeded);
  // Gives up the calls in progress and joins them.
  ~LeasedWork();
  LeasedWork(const LeasedWork&) = delete;
  LeasedWork& operator=(const LeasedWork&) = delete;

  // A shard that may be leased from now on (of a scheduler that was made without), or is done.
  void Offer(int shard) { scheduler_.Offer(shard); }
  void MarkDone(int shard) { scheduler_.MarkDone(shard); }

  // Looks at the nodes and the clock, and starts the calls that are due; none with `start_none`.
  void Advance(SteadyTime now, bool start_none);
  // When Advance may have something to do although nothing happened.
  [[nodiscard]] SteadyTime NextEvent(SteadyTime now) const;

  [[nodiscard]] int remaining() const { return scheduler_.remaining(); }
  [[nodiscard]] bool calling() const { return !flights_.empty(); }
  // Whether the node has a shard.
  [[nodiscard]] bool Occupies(const std::string& node_id) const;
  // Why the work cannot be done: no node is left that might, or an answer could not be kept.
  [[nodiscard]] const absl::Status& failure() const { return failure_; }
  // "waiting for a policy node: ...", when it waits for nothing else. Else empty.
  [[nodiscard]] std::string WaitsFor() const;
  // Classes ("cpu", "cuda") of the nodes whose answers counted, as far as they say them.
  [[nodiscard]] const std::set<std::string>& devices() const { return devices_; }
  // When the last shard was done, by SteadyTime; the zero before the first.
  [[nodiscard]] SteadyTime last_done() const { return last_done_; }

 private:
  struct Flight {
    NodeHandle node;
    int shard = 0;
    bool late = false;
    bool lost = false;  // its node went away; an answer would still count
    std::stop_source give_up;
    std::jthread thread;  // last: joined before the rest goes
  };
  struct Refusal {
    std::string incarnation;
    absl::Status status;
  };

  // For needed work only when the registry has something new, and in a large cluster for a
  // twentieth of the time at most: there is something new with every answer.
  void UpdateNodes(SteadyTime now);
  void Start(const ShardScheduler::Lease& lease);
  void OnDone(const ShardScheduler::Lease& lease, absl::Duration took, Outcome outcome);
  void OnFailure(const NodeHandle& node, int shard, const Outcome& outcome);
  void Count(const char* result) const;
  [[nodiscard]] bool spare() const { return need_ == Need::kSpare; }
  [[nodiscard]] bool Refused(const std::string& node_id, const std::string& incarnation) const;
  void Refuse(const NodeHandle& node, const absl::Status& status);
  // Fails when every node that is known has refused.
  void CheckAnybodyLeft();
  void Fail(const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
  }

  const NodeRole role_;
  const std::string doing_;
  const Parts parts_;
  ShardScheduler scheduler_;
  const std::function<int(const NodeHandle&)> capacity_;
  const MakeCall make_call_;
  const Need need_;
  std::set<std::string> known_;  // nodes that the scheduler was told of
  std::map<std::string, NodeHandle> ready_;
  bool failed_since_ = true;  // since UpdateNodes looked; at first there is nothing to go by
  int64_t seen_changes_ = 0;
  SteadyTime update_at_;                                // not before, unless something failed
  SteadyTime retry_at_ = SteadyTime::InfiniteFuture();  // when the first resting node may work
  std::map<std::string, Refusal> refusals_;             // by node id: who cannot do this work
  // By node id and incarnation, in a row.
  std::map<std::pair<std::string, std::string>, int> defects_;
  absl::Status failure_;
  SteadyTime last_done_;
  std::set<std::string> devices_;
  std::map<int64_t, Flight> flights_;  // by lease id
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_LEASED_WORK_H_
