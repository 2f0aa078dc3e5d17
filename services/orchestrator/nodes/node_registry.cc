#include "services/orchestrator/nodes/node_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/steady_time.h"

namespace mellow::orchestrator {
namespace {

constexpr size_t kMaxNodes = 4096;
// Incarnations remembered of one node id.
constexpr size_t kMaxReplaced = 64;
constexpr absl::Duration kForgetAfter = absl::Hours(1);
constexpr absl::Duration kFirstRest = absl::Milliseconds(100);
constexpr absl::Duration kLongestRest = absl::Seconds(5);
// The weight of the newest lease in the moving average: half, so that a node that became slow is
// noticed after two leases.
constexpr double kSpeedWeight = 0.5;

}  // namespace

NodeRegistry::~NodeRegistry() {
  MutexLock lock(&mutex_);
  for (auto& [id, node] : nodes_) node.life.request_stop();
}

const ModelPin* NodeRegistry::PinFor(NodeRole role) const {
  const auto pin = pins_.find(role == NodeRole::kLearnerWorker ? NodeRole::kLearner : role);
  return pin == pins_.end() ? nullptr : &pin->second;
}

bool NodeRegistry::OtherModel(const Node& node) const {
  const ModelPin* const pin = PinFor(node.report.role);
  return pin != nullptr && PinOf(node.report) != *pin;
}

const NodeRegistry::Requirement& NodeRegistry::RequirementOf(NodeRole role) const {
  static const auto* const kNone = new Requirement();
  const auto it = requirements_.find(role);
  return it == requirements_.end() ? *kNone : it->second;
}

bool NodeRegistry::Unfit(const Node& node) const {
  return OtherModel(node) || node.report.stalled_seconds > 0;
}

NodeState NodeRegistry::StateOf(const Node& node) const {
  if (node.lost) return NodeState::kLost;
  if (Unfit(node)) return NodeState::kQuarantined;
  if (RequirementOf(node.report.role).required && !node.verified) return NodeState::kQuarantined;
  return NodeState::kReady;
}

bool NodeRegistry::Unverified(const Node& node) const {
  const bool out = OtherModel(node) && node.report.role != NodeRole::kPolicy;
  return RequirementOf(node.report.role).required && !node.lost && !out &&
         node.report.stalled_seconds <= 0 && !node.verified && !node.claimed;
}

NodeHandle NodeRegistry::HandleOf(const Node& node) const {
  const double said =
      node.report.role == NodeRole::kPolicy ? node.report.capacity.tokens_per_second : 0;
  return {node.report.node_id,
          node.report.address,
          node.report.incarnation,
          node.report.capacity.device,
          node.measured_speed > 0 ? node.measured_speed : said,
          node.measured_speed > 0,
          /*adapters=*/{},
          node.life.get_token(),
          RequirementOf(node.report.role).round,
          node.report.role,
          OtherModel(node)};
}

NodeRegistry::Node* NodeRegistry::Find(const NodeHandle& handle) {
  const auto it = nodes_.find(handle.node_id);
  if (it == nodes_.end() || it->second.report.incarnation != handle.incarnation) return nullptr;
  return &it->second;
}

void NodeRegistry::Unverify(Node* node, const std::string& reason) {
  node->verified = false;
  node->mismatch = false;
  node->tried = false;
  node->claimed = false;
  node->reason = reason;
  node->verify_at = SteadyTime::InfinitePast();
}

absl::Status NodeRegistry::Register(const NodeReport& report, SteadyTime now) {
  std::stop_source ended;  // of the process that this one replaces
  bool changed = false;
  {
    MutexLock lock(&mutex_);
    auto it = nodes_.find(report.node_id);
    if (it == nodes_.end() && nodes_.size() >= kMaxNodes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("node_id: ", report.node_id, ": ", kMaxNodes, " nodes are registered"));
    }
    for (const auto& [id, other] : nodes_) {
      if (report.role != NodeRole::kLearner) break;  // heartbeats of the others are many
      if (other.lost || other.report.role != NodeRole::kLearner || id == report.node_id) continue;
      return absl::AlreadyExistsError(absl::StrCat("node_id: ", report.node_id, ": the learner is ",
                                                   id, " at ", other.report.address,
                                                   ", and a cluster has one"));
    }
    if (it != nodes_.end() && !it->second.lost &&
        it->second.replaced.contains(report.incarnation)) {
      return absl::AlreadyExistsError(
          absl::StrCat("node_id: ", report.node_id, ": another process took this place, at ",
                       it->second.report.address, "; give each node an id of its own"));
    }
    const bool fresh = it == nodes_.end() || it->second.report.incarnation != report.incarnation ||
                       it->second.report.role != report.role;
    if (fresh) {
      Node node;
      if (it != nodes_.end()) {
        ended = it->second.life;
        node.leases_done = it->second.leases_done;
        node.leases_lost = it->second.leases_lost;
        // A process that only restarts adds one each time: the old ones never come back.
        if (it->second.replaced.size() < kMaxReplaced) node.replaced = it->second.replaced;
        node.replaced.insert(it->second.report.incarnation);
        node.replaced.erase(report.incarnation);
      }
      Unverify(&node, RequirementOf(report.role).reason);
      it = nodes_.insert_or_assign(report.node_id, std::move(node)).first;
    } else if (it->second.lost) {
      it->second.life = std::stop_source();
      // Whoever was verifying it gave up with its last life.
      it->second.claimed = false;
    }
    Node& node = it->second;
    const bool fit = !node.lost && !Unfit(node);
    node.lost = false;
    node.last_seen = now;
    node.report = report;
    changed = fresh || fit == Unfit(node);
  }
  ended.request_stop();
  if (changed) {
    MutexLock lock(&mutex_);
    Changed(report.role);  // who looks because of it sees the stop too
  }
  if (changed) Notify();
  return absl::OkStatus();
}

void NodeRegistry::Leave(const std::string& node_id, const std::string& incarnation) {
  {
    MutexLock lock(&mutex_);
    const auto it = nodes_.find(node_id);
    if (it == nodes_.end() || it->second.report.incarnation != incarnation) return;
    Changed(it->second.report.role);
    nodes_.erase(it);
  }
  Notify();
}

SteadyTime NodeRegistry::Sweep(SteadyTime now) {
  std::vector<std::pair<std::stop_source, NodeRole>> ended;
  SteadyTime next = SteadyTime::InfiniteFuture();
  {
    MutexLock lock(&mutex_);
    for (auto it = nodes_.begin(); it != nodes_.end();) {
      Node& node = it->second;
      const SteadyTime lost_at = node.last_seen + lost_after_;
      if (node.lost && node.last_seen + kForgetAfter <= now) {
        it = nodes_.erase(it);
        continue;
      }
      if (!node.lost && lost_at <= now) {
        node.lost = true;
        ended.emplace_back(node.life, node.report.role);
      }
      next = std::min(next, node.lost ? node.last_seen + kForgetAfter : lost_at);
      ++it;
    }
  }
  for (auto& [life, role] : ended) {
    life.request_stop();
    MutexLock lock(&mutex_);
    Changed(role);
  }
  if (!ended.empty()) Notify();
  return next;
}

std::vector<NodeStatus> NodeRegistry::List() const {
  std::vector<NodeStatus> list;
  {
    MutexLock lock(&mutex_);
    for (const auto& [id, node] : nodes_) {
      NodeStatus status{.report = node.report,
                        .state = StateOf(node),
                        .leases_done = node.leases_done,
                        .leases_lost = node.leases_lost};
      status.other_model = !node.lost && OtherModel(node);
      if (status.state == NodeState::kQuarantined) status.reason = node.reason;
      if (node.report.stalled_seconds > 0) {
        status.reason =
            absl::StrCat("its engine has made no progress for ", node.report.stalled_seconds, " s");
      }
      if (status.other_model) {
        status.reason = absl::StrCat("its model is ", ToString(PinOf(node.report)),
                                     ", the run pins ", ToString(*PinFor(node.report.role)));
      }
      if (status.state == NodeState::kLost) status.reason = "no heartbeat";
      list.push_back(std::move(status));
    }
  }
  std::stable_sort(list.begin(), list.end(), [](const NodeStatus& a, const NodeStatus& b) {
    return a.report.role < b.report.role;
  });
  return list;
}

std::vector<NodeHandle> NodeRegistry::Ready(NodeRole role, SteadyTime now) const {
  MutexLock lock(&mutex_);
  std::vector<NodeHandle> ready;
  for (const auto& [id, node] : nodes_) {
    if (node.report.role == role && StateOf(node) == NodeState::kReady && node.rest_until <= now) {
      ready.push_back(HandleOf(node));
    }
  }
  return ready;
}

SteadyTime NodeRegistry::NextRetry(NodeRole role, SteadyTime now) const {
  MutexLock lock(&mutex_);
  SteadyTime next = SteadyTime::InfiniteFuture();
  for (const auto& [id, node] : nodes_) {
    if (node.report.role == role && StateOf(node) == NodeState::kReady && node.rest_until > now) {
      next = std::min(next, node.rest_until);
    }
  }
  return next;
}

bool NodeRegistry::IsStuck(const NodeHandle& handle) const {
  MutexLock lock(&mutex_);
  const auto it = nodes_.find(handle.node_id);
  return it != nodes_.end() && it->second.report.incarnation == handle.incarnation &&
         it->second.report.stalled_seconds > 0;
}

std::string NodeRegistry::WhyNoneReady(NodeRole role) const {
  std::vector<std::string> reasons;
  for (const NodeStatus& node : List()) {
    if (node.report.role != role) continue;
    reasons.push_back(
        absl::StrCat(node.report.node_id, " at ", node.report.address, " ",
                     node.state == NodeState::kReady
                         ? "failed a moment ago"
                         : absl::StrCat("is ", ToString(node.state), ": ", node.reason)));
  }
  if (reasons.empty()) return absl::StrCat("no ", ToString(role), " node has registered");
  return absl::StrJoin(reasons, "; ");
}

int64_t NodeRegistry::LargestVersion() const {
  MutexLock lock(&mutex_);
  int64_t largest = 0;
  for (const auto& [id, node] : nodes_) {
    if (node.lost || node.report.role != NodeRole::kPolicy) continue;
    for (const AdapterRef& adapter : node.report.adapters) {
      largest = std::max(largest, adapter.version);
    }
  }
  return largest;
}

int64_t NodeRegistry::Changes(NodeRole role) const {
  MutexLock lock(&mutex_);
  const auto it = changes_.find(role);
  return it == changes_.end() ? 0 : it->second;
}

void NodeRegistry::ReportLease(const std::string& node_id, double work, absl::Duration took) {
  MutexLock lock(&mutex_);
  const auto it = nodes_.find(node_id);
  if (it == nodes_.end()) return;
  Node& node = it->second;
  ++node.leases_done;
  node.failures = 0;
  const double seconds = absl::ToDoubleSeconds(took);
  if (work <= 0 || seconds <= 0) return;
  Changed(node.report.role);
  const double speed = work / seconds;
  node.measured_speed = node.measured_speed == 0
                            ? speed
                            : kSpeedWeight * speed + (1 - kSpeedWeight) * node.measured_speed;
}

void NodeRegistry::ReportSuccess(const std::string& node_id) {
  MutexLock lock(&mutex_);
  if (const auto it = nodes_.find(node_id); it != nodes_.end()) it->second.failures = 0;
}

void NodeRegistry::ReportFailure(const NodeHandle& handle, SteadyTime now, bool lease) {
  MutexLock lock(&mutex_);
  const auto it = nodes_.find(handle.node_id);
  if (it == nodes_.end()) return;
  if (lease) ++it->second.leases_lost;
  Node* node = Find(handle);
  if (node == nullptr) return;  // it restarted since; the new process has done nothing wrong
  Changed(node->report.role);
  node->failures = std::min(node->failures + 1, 16);
  node->rest_until = now + std::min(kLongestRest, kFirstRest * (1 << (node->failures - 1)));
}

void NodeRegistry::SetPins(std::map<NodeRole, ModelPin> pins) {
  {
    MutexLock lock(&mutex_);
    if (pins_ == pins) return;
    std::map<std::string, bool> before;
    for (const auto& [id, node] : nodes_) before[id] = OtherModel(node);
    pins_ = std::move(pins);
    for (const NodeRole role : {NodeRole::kPolicy, NodeRole::kReward, NodeRole::kLearner,
                                NodeRole::kLearnerWorker, NodeRole::kJudge})
      Changed(role);
    // A node that is kept out was verified for less than one that may work.
    for (auto& [id, node] : nodes_) {
      if (OtherModel(node) != before[id]) Unverify(&node, RequirementOf(node.report.role).reason);
    }
  }
  Notify();
}

void NodeRegistry::RequireVerification(NodeRole role, const std::string& reason) {
  {
    MutexLock lock(&mutex_);
    Requirement& requirement = requirements_[role];
    requirement = {requirement.round + 1, /*required=*/true, reason};
    Changed(role);
    for (auto& [id, node] : nodes_) {
      if (node.report.role == role) Unverify(&node, reason);
    }
  }
  Notify();
}

void NodeRegistry::DropVerification(NodeRole role) {
  {
    MutexLock lock(&mutex_);
    Requirement& requirement = requirements_[role];
    if (!requirement.required) return;
    requirement = {requirement.round + 1, /*required=*/false, ""};
    Changed(role);
  }
  Notify();
}

std::vector<NodeHandle> NodeRegistry::ClaimUnverified(SteadyTime now) {
  MutexLock lock(&mutex_);
  std::vector<NodeHandle> due;
  for (auto& [id, node] : nodes_) {
    if (!Unverified(node) || node.verify_at > now) continue;
    node.claimed = true;
    due.push_back(HandleOf(node));
    due.back().adapters = node.report.adapters;
  }
  return due;
}

SteadyTime NodeRegistry::NextVerification() const {
  MutexLock lock(&mutex_);
  SteadyTime next = SteadyTime::InfiniteFuture();
  for (const auto& [id, node] : nodes_) {
    if (Unverified(node)) next = std::min(next, node.verify_at);
  }
  return next;
}

void NodeRegistry::MarkVerified(const NodeHandle& handle) {
  {
    MutexLock lock(&mutex_);
    Node* node = Find(handle);
    if (node == nullptr || handle.verification != RequirementOf(handle.role).round) return;
    node->claimed = false;
    node->tried = true;
    node->verified = true;
    node->reason.clear();
    Changed(handle.role);
  }
  Notify();
}

void NodeRegistry::Quarantine(const NodeHandle& handle, const std::string& reason, bool mismatch,
                              SteadyTime retry_at) {
  {
    MutexLock lock(&mutex_);
    Node* node = Find(handle);
    if (node == nullptr || handle.verification != RequirementOf(handle.role).round) return;
    node->claimed = false;
    node->tried = true;
    node->verified = false;
    node->mismatch = mismatch;
    node->reason = reason;
    Changed(handle.role);
    node->verify_at = retry_at;
  }
  Notify();
}

std::string NodeRegistry::AllMismatch() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> reasons;
  for (const auto& [id, node] : nodes_) {
    if (node.report.role != NodeRole::kPolicy || node.lost || Unfit(node)) continue;
    if (node.verified || !node.mismatch) return "";
    reasons.push_back(absl::StrCat(id, ": ", node.reason));
  }
  return absl::StrJoin(reasons, "; ");
}

int NodeRegistry::Untried() const {
  MutexLock lock(&mutex_);
  int untried = 0;
  for (const auto& [id, node] : nodes_) {
    untried += node.report.role == NodeRole::kPolicy && !node.lost && !Unfit(node) &&
               RequirementOf(NodeRole::kPolicy).required && !node.tried && !node.verified;
  }
  return untried;
}

NodeRegistry::Subscription::Subscription(NodeRegistry* registry, std::function<void()> changed)
    : registry_(registry) {
  MutexLock lock(&registry_->listeners_mutex_);
  id_ = registry_->next_listener_++;
  registry_->listeners_[id_] = std::move(changed);
}

NodeRegistry::Subscription::~Subscription() {
  MutexLock lock(&registry_->listeners_mutex_);
  registry_->listeners_.erase(id_);
}

// Under the listeners' own lock, so that a listener cannot go away while it is called.
void NodeRegistry::Notify() {
  MutexLock lock(&listeners_mutex_);
  for (const auto& [id, changed] : listeners_) changed();
}

}  // namespace mellow::orchestrator
