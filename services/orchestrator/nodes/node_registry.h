#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_REGISTRY_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_REGISTRY_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// A node as people see it.
struct NodeStatus {
  NodeReport report;
  NodeState state = NodeState::kLost;
  std::string reason;
  bool other_model = false;  // than the run pins; then it is quarantined
  int64_t leases_done = 0;
  int64_t leases_lost = 0;
};

// What a caller of a node needs.
struct NodeHandle {
  std::string node_id;
  std::string address;
  std::string incarnation;
  std::string device;
  // Work per second, of one lease: tokens of a policy, texts of a reward node. Until a lease has
  // measured it, what the policy says of itself; 0 of other roles.
  double speed = 0;
  bool measured = false;
  std::vector<AdapterRef> adapters;  // as last reported; of ClaimUnverified
  std::stop_token life;              // stops when the node is lost or restarts: give up the call
  int64_t verification = 0;          // the round of verification in which the handle was made
  NodeRole role = NodeRole::kPolicy;
  bool other_model = false;  // than the run pins: it may serve the champion, and nothing else
};

// Who is there, and who may work: a node that is alive, has the model that the run pins, and, where
// its role has to be verified, passed. A policy node is verified for the target adapter (published
// to and canary passed), a reward or judge node by the run's canary texts. Time is passed in.
// Thread-safe.
class NodeRegistry {
 public:
  explicit NodeRegistry(absl::Duration lost_after) : lost_after_(lost_after) {}
  ~NodeRegistry();
  NodeRegistry(const NodeRegistry&) = delete;
  NodeRegistry& operator=(const NodeRegistry&) = delete;

  // A registration or heartbeat. A process with the id of a live node takes its place; the one that
  // it replaced is refused from then on, for as long as the new one lives, so that the two never
  // alternate. ResourceExhausted: too many nodes. AlreadyExists, naming the other one: the process
  // was replaced, or another learner is alive (a cluster has one).
  [[nodiscard]] absl::Status Register(const NodeReport& report, SteadyTime now);
  // The process says that it ends: it gets no new work and is forgotten. Calls to it go on, it
  // answers them. Ignored when another process has taken the node's place.
  void Leave(const std::string& node_id, const std::string& incarnation);
  // Marks silent nodes as lost, forgets those lost for long; returns when to call again.
  SteadyTime Sweep(SteadyTime now);

  // By role and node id.
  [[nodiscard]] std::vector<NodeStatus> List() const;
  // Nodes that may get work now, by node id. A node that just failed rests for a moment.
  [[nodiscard]] std::vector<NodeHandle> Ready(NodeRole role, SteadyTime now) const;
  // When the first of the resting nodes may get work again.
  [[nodiscard]] SteadyTime NextRetry(NodeRole role, SteadyTime now) const;
  // Whether the process, if it is still there, says that its engine is stuck.
  [[nodiscard]] bool IsStuck(const NodeHandle& node) const;
  // Why nobody of that role is ready: "no policy node has registered", "policy-0 is lost
  // (127.0.0.1:50051)".
  [[nodiscard]] std::string WhyNoneReady(NodeRole role) const;
  // The largest adapter version that any node has.
  [[nodiscard]] int64_t LargestVersion() const;

  // Grows with every change of what Ready says of the role, except with time.
  [[nodiscard]] int64_t Changes(NodeRole role) const;

  // Outcomes of calls. `work` of a lease updates the speed (exponential moving average).
  void ReportLease(const std::string& node_id, double work, absl::Duration took);
  void ReportSuccess(const std::string& node_id);
  // The node rests: 0.1 s, doubled with each failure in a row up to 5 s. `lease`: a lease was lost
  // with it.
  void ReportFailure(const NodeHandle& node, SteadyTime now, bool lease);

  // The models that nodes must have to get work; a role that is not there may have any. A learner
  // worker must have the learner's.
  void SetPins(std::map<NodeRole, ModelPin> pins);
  // Every node of the role (policy, reward or judge) must be verified again.
  void RequireVerification(NodeRole role, const std::string& reason);
  // The role's nodes may work as they are.
  void DropVerification(NodeRole role);
  // Live nodes whose verification is due; each is claimed until one of the two below is called.
  [[nodiscard]] std::vector<NodeHandle> ClaimUnverified(SteadyTime now);
  // When a quarantined node is due again.
  [[nodiscard]] SteadyTime NextVerification() const;
  // Ignored when the node restarted, or when verification was required anew since it was claimed.
  void MarkVerified(const NodeHandle& node);
  // `mismatch`: its log-probs are not the learner's.
  void Quarantine(const NodeHandle& node, const std::string& reason, bool mismatch,
                  SteadyTime retry_at);
  // When there are live policy nodes and each is quarantined for a mismatch: the reasons. Else
  // empty.
  [[nodiscard]] std::string AllMismatch() const;
  // Live policy nodes, with the right model, that were not tried since verification was required.
  [[nodiscard]] int Untried() const;

  // Calls `changed` after every change of who may work, from the thread that made it, without a
  // lock held. The subscription ends with the returned object; its destructor waits for a call in
  // progress.
  class Subscription {
   public:
    Subscription(NodeRegistry* registry, std::function<void()> changed);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    NodeRegistry* registry_;
    int64_t id_;
  };

 private:
  struct Node {
    NodeReport report;
    std::set<std::string> replaced;  // incarnations that had this id before
    SteadyTime last_seen;
    bool lost = false;
    std::stop_source life;
    double measured_speed = 0;  // 0: no lease yet
    int64_t leases_done = 0;
    int64_t leases_lost = 0;
    int failures = 0;  // in a row
    SteadyTime rest_until = SteadyTime::InfinitePast();
    // What follows is for nodes that have to be verified.
    bool claimed = false;
    bool tried = false;
    bool verified = false;
    bool mismatch = false;
    std::string reason;
    SteadyTime verify_at = SteadyTime::InfinitePast();
  };

  // What the nodes of a role have to pass.
  struct Requirement {
    int64_t round = 0;  // grows with every requirement
    bool required = false;
    std::string reason;
  };

  // A process that cannot work whatever it is given: it has another model than the run pins, or its
  // engine is stuck.
  bool Unfit(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool OtherModel(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: any model will do.
  const ModelPin* PinFor(NodeRole role) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  NodeState StateOf(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Requirement& RequirementOf(NodeRole role) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Alive, not verified and claimed by nobody. Of nodes with another model only policies, which
  // serve the champion all the same.
  bool Unverified(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Without its adapters.
  NodeHandle HandleOf(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The node if it is still the process that `handle` was made for; else null.
  Node* Find(const NodeHandle& handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unverify(Node* node, const std::string& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Changed(NodeRole role) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { ++changes_[role]; }
  void Notify();

  const absl::Duration lost_after_;
  mutable Mutex mutex_;
  std::map<std::string, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeRole, ModelPin> pins_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeRole, Requirement> requirements_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeRole, int64_t> changes_ ABSL_GUARDED_BY(mutex_);
  Mutex listeners_mutex_;
  std::map<int64_t, std::function<void()>> listeners_ ABSL_GUARDED_BY(listeners_mutex_);
  int64_t next_listener_ ABSL_GUARDED_BY(listeners_mutex_) = 1;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_REGISTRY_H_
