#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODE_SUPERVISOR_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODE_SUPERVISOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/adapters/peft.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/canary.h"
#include "services/orchestrator/mailbox.h"
#include "services/orchestrator/node_clients.h"
#include "services/orchestrator/node_registry.h"
#include "services/orchestrator/orchestrator_metrics.h"

namespace mellow::orchestrator {

// What every policy node has to have, and the proof that it does.
struct AdapterTarget {
  AdapterRef ref;
  std::shared_ptr<const adapters::PeftFiles> files;  // null for the bare base model
  CanarySuite canary;
};

struct SettleTimes {
  double publish_seconds = 0;  // of the slowest node
  double canary_seconds = 0;
};

// Keeps policy nodes on the target adapter for as long as the process lives, run or no run: after a
// new target, and whenever a node appears or restarts, it publishes the adapter, runs the canary,
// and marks the node as verified or quarantined. Also notices nodes that fell silent. Own threads;
// thread-safe.
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
  // The target's adapter, or none.
  std::shared_ptr<const AdapterTarget> target() const;
  SettleTimes times() const;

 private:
  void Loop();
  void Verify(const NodeHandle& node);

  NodeRegistry* const registry_;
  NodeClients* const clients_;
  OrchestratorMetrics* const metrics_;
  const absl::Duration retry_;
  mutable Mutex mutex_;
  std::shared_ptr<const AdapterTarget> target_ ABSL_GUARDED_BY(mutex_);
  SettleTimes times_ ABSL_GUARDED_BY(mutex_);  // since SetTarget
  Mailbox mailbox_;                            // of thread_
  std::stop_source stop_;
  std::map<int64_t, std::jthread> verifications_;  // of thread_
  int64_t next_verification_ = 0;                  // of thread_
  std::jthread thread_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODE_SUPERVISOR_H_
