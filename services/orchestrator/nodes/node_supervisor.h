#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_SUPERVISOR_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_SUPERVISOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/adapters/peft.h"
#include "common/sync/mailbox.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/nodes/adapter_sources.h"
#include "services/orchestrator/nodes/model_pins.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/orchestrator/nodes/orchestrator_metrics.h"

namespace mellow::orchestrator {

// What every policy node has to have, and the proof that it does.
struct AdapterTarget {
  AdapterRef ref;
  std::shared_ptr<const adapters::PeftFiles> files;  // null for the base model
  CanarySuite canary;
};

// Gives the node an adapter that it serves to nobody, and runs its canary, if it has one: what
// would serve wrong weights is found before a user gets them. FailedPrecondition: the canary failed
// (*wrong_weights: its log-probs, or the adapter that answered, were others). Precondition: files
// are not null.
[[nodiscard]] absl::Status TryCandidate(PolicyClient* client, const AdapterTarget& candidate,
                                        std::stop_token stop, bool* wrong_weights);

struct SettleTimes {
  double publish_seconds = 0;  // of the slowest node so far
  double canary_seconds = 0;
};

// Keeps policy nodes on the target adapter and on the champion for as long as the process lives,
// run or no run: after a new target or champion, and whenever a node appears or restarts, it
// publishes them, runs the canary, and marks the node as verified or quarantined. While a run has
// pinned its models, each reward node, and judge of a run with one, has to score the canary texts
// as pinned. Also notices
// nodes that fell silent. Own threads; thread-safe.
class NodeSupervisor {
 public:
  // All must outlive it. A node that failed is tried again after `retry`.
  NodeSupervisor(NodeRegistry* registry, NodeClients* clients, OrchestratorMetrics* metrics,
                 absl::Duration retry);
  // Cancels calls in progress and joins.
  ~NodeSupervisor();
  NodeSupervisor(const NodeSupervisor&) = delete;
  NodeSupervisor& operator=(const NodeSupervisor&) = delete;

  // Every policy node is unverified from now on until it passed for this target.
  void SetTarget(AdapterTarget target);
  // As SetTarget. Version 0: there is no champion.
  void SetChampion(AdapterTarget champion);
  // What the nodes must have from now on to get work; nothing: any model will do.
  void SetPins(const RunPins& pins);
  // The target's adapter, or none.
  std::shared_ptr<const AdapterTarget> target() const;
  SettleTimes times() const;
  // "policy-0 (why)" for each live policy node that was not given the champion yet.
  [[nodiscard]] std::vector<std::string> WithoutChampion() const;

 private:
  void Loop();
  void Verify(const NodeHandle& node, std::stop_token give_up);
  absl::Status VerifyPolicy(const NodeHandle& node, std::stop_token stop, bool* wrong_weights);
  // The node is a reward or a judge.
  absl::Status VerifyClassifier(const NodeHandle& node, std::stop_token stop, bool* wrong_weights);
  // Has the node get the adapter: from another node where one has room, else from this process.
  absl::Status Deliver(const NodeHandle& node, PolicyClient* client, const AdapterTarget& adapter,
                       wire::Publication as, std::stop_token stop);
  // What the node has to do with the champion before it may work.
  absl::Status VerifyChampion(const NodeHandle& node, PolicyClient* client, std::stop_token stop,
                              bool* wrong_weights);

  NodeRegistry* const registry_;
  NodeClients* const clients_;
  OrchestratorMetrics* const metrics_;
  const absl::Duration retry_;
  mutable Mutex mutex_;
  std::shared_ptr<const AdapterTarget> target_ ABSL_GUARDED_BY(mutex_);
  RunPins pins_ ABSL_GUARDED_BY(mutex_);
  SettleTimes times_ ABSL_GUARDED_BY(mutex_);  // since SetTarget
  std::shared_ptr<const AdapterTarget> champion_ ABSL_GUARDED_BY(mutex_);
  // By node id: the champion that it was given, in which life. It is not told again with every
  // step.
  struct Delivery {
    std::string incarnation;
    std::shared_ptr<const AdapterTarget> champion;
  };
  std::map<std::string, Delivery> delivered_ ABSL_GUARDED_BY(mutex_);
  AdapterSources sources_;
  Mailbox mailbox_;  // of thread_
  std::stop_source stop_;
  struct Verification {
    std::string node_id;
    std::stop_source give_up;
    std::jthread thread;  // last: joined before the rest goes
  };
  std::map<int64_t, Verification> verifications_;  // of thread_
  int64_t next_verification_ = 0;                  // of thread_
  std::jthread thread_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_SUPERVISOR_H_
