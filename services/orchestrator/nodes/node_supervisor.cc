#include "services/orchestrator/nodes/node_supervisor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"

namespace mellow::orchestrator {
namespace {

// The node's log-probs of the suite are the expected ones, and of the right weights.
// *wrong_weights: they were computed and are others.
absl::Status RunCanary(PolicyClient* client, const AdapterTarget& target, std::stop_token stop,
                       bool* wrong_weights) {
  if (target.canary.pairs.empty()) return absl::OkStatus();
  const absl::StatusOr<PairScores> scores =
      client->ScoreTokens(target.canary.pairs, target.ref.version, stop);
  if (!scores.ok()) return Annotate(scores.status(), "canary");
  absl::Status status = SameWeights(scores->adapter, target.ref)
                            ? CheckCanary(target.canary, scores->logprobs)
                            : absl::FailedPreconditionError(absl::StrCat(
                                  "canary: answered with adapter ", ToString(scores->adapter),
                                  " instead of ", ToString(target.ref)));
  *wrong_weights = !status.ok();
  return status;
}

}  // namespace

absl::Status TryCandidate(PolicyClient* client, const AdapterTarget& candidate,
                          std::stop_token stop, bool* wrong_weights) {
  MELLOW_RETURN_IF_ERROR(Annotate(
      client->PublishAdapter(candidate.ref, *candidate.files, wire::Publication::kCandidate, stop),
      absl::StrCat("publishing candidate ", ToString(candidate.ref))));
  return Annotate(RunCanary(client, candidate, stop, wrong_weights), "candidate");
}

NodeSupervisor::NodeSupervisor(NodeRegistry* registry, NodeClients* clients,
                               OrchestratorMetrics* metrics, absl::Duration retry)
    : registry_(registry), clients_(clients), metrics_(metrics), retry_(retry), thread_([this] {
        Loop();
      }) {}

NodeSupervisor::~NodeSupervisor() {
  stop_.request_stop();
  mailbox_.Wake();
}

void NodeSupervisor::SetTarget(AdapterTarget target) {
  const std::string reason = absl::StrCat("waits for adapter ", ToString(target.ref));
  metrics_->SetTarget(target.ref);
  {
    MutexLock lock(&mutex_);
    target_ = std::make_shared<const AdapterTarget>(std::move(target));
    times_ = {};
  }
  registry_->RequireVerification(NodeRole::kPolicy, reason);
}

void NodeSupervisor::SetChampion(AdapterTarget champion) {
  const std::string reason = absl::StrCat("waits for champion ", ToString(champion.ref));
  {
    MutexLock lock(&mutex_);
    champion_ = std::make_shared<const AdapterTarget>(std::move(champion));
  }
  registry_->RequireVerification(NodeRole::kPolicy, reason);
}

void NodeSupervisor::SetPins(const RunPins& pins) {
  {
    MutexLock lock(&mutex_);
    pins_ = pins;
  }
  registry_->SetPins(pins.models);
  for (const NodeRole role : {NodeRole::kReward, NodeRole::kJudge}) {
    if (!pins.canaries.contains(role)) {
      registry_->DropVerification(role);
    } else {
      registry_->RequireVerification(role,
                                     absl::StrCat("waits for the ", ToString(role), " canary"));
    }
  }
}

absl::Status NodeSupervisor::VerifyChampion(const NodeHandle& node, PolicyClient* client,
                                            std::stop_token stop, bool* wrong_weights) {
  std::shared_ptr<const AdapterTarget> champion;
  {
    MutexLock lock(&mutex_);
    champion = champion_;
    const Delivery& last = delivered_[node.node_id];
    if (champion == nullptr || (last.incarnation == node.incarnation && last.champion == champion))
      return absl::OkStatus();
  }
  while (true) {
    const bool any = champion->files != nullptr;
    if (any) {
      MELLOW_RETURN_IF_ERROR(
          Annotate(Deliver(node, client, *champion, wire::Publication::kCandidate, stop),
                   absl::StrCat("publishing candidate ", ToString(champion->ref))));
      MELLOW_RETURN_IF_ERROR(
          Annotate(RunCanary(client, *champion, stop, wrong_weights), "candidate"));
    }
    MELLOW_RETURN_IF_ERROR(Annotate(
        any ? Deliver(node, client, *champion, wire::Publication::kChampion, stop)
            : client->PublishAdapter(champion->ref, {}, wire::Publication::kChampion, stop),
        absl::StrCat("publishing champion ", ToString(champion->ref))));
    MutexLock lock(&mutex_);
    delivered_[node.node_id] = {node.incarnation, champion};
    // A slow delivery may arrive after that of a newer champion by another verification of the same
    // node: whoever comes last delivers the newest once more.
    if (champion == champion_) return absl::OkStatus();
    champion = champion_;
  }
}

absl::Status NodeSupervisor::Deliver(const NodeHandle& node, PolicyClient* client,
                                     const AdapterTarget& adapter, wire::Publication as,
                                     std::stop_token stop) {
  for (const bool direct : {false, true}) {
    MELLOW_ASSIGN_OR_RETURN(const AdapterSources::Place place,
                            sources_.Take(adapter.ref, node.address, direct, stop));
    const bool from_node = !place.address.empty();
    const absl::Status status = from_node
                                    ? client->FetchAdapter(adapter.ref, place.address, as, stop)
                                    : client->PublishAdapter(adapter.ref, *adapter.files, as, stop);
    const bool given_up = !status.ok() && stop.stop_requested();
    sources_.Done(place, node.address, given_up ? absl::CancelledError("given up") : status);
    if (status.ok() || !from_node || stop.stop_requested()) return status;
    obs::Log(obs::Severity::kWarning, "a node could not get the adapter from another one",
             {{"node", node.node_id}, {"from", place.address}, {"error", status.ToString()}});
  }
  return absl::InternalError("not reached: the second try is direct");
}

std::shared_ptr<const AdapterTarget> NodeSupervisor::target() const {
  MutexLock lock(&mutex_);
  return target_;
}

SettleTimes NodeSupervisor::times() const {
  MutexLock lock(&mutex_);
  return times_;
}

std::vector<std::string> NodeSupervisor::WithoutChampion() const {
  std::vector<std::string> missing;
  const std::vector<NodeStatus> nodes = registry_->List();
  MutexLock lock(&mutex_);
  if (champion_ == nullptr) return missing;
  for (const NodeStatus& node : nodes) {
    if (node.report.role != NodeRole::kPolicy || node.state == NodeState::kLost) continue;
    const auto last = delivered_.find(node.report.node_id);
    if (last == delivered_.end() || last->second.incarnation != node.report.incarnation ||
        last->second.champion != champion_) {
      missing.push_back(absl::StrCat(node.report.node_id, " (", node.reason, ")"));
    }
  }
  return missing;
}

void NodeSupervisor::Loop() {
  const NodeRegistry::Subscription subscription(registry_, [this] { mailbox_.Wake(); });
  SteadyTime count_at = SteadyTime::InfinitePast();
  while (!stop_.stop_requested()) {
    const SteadyTime now = SteadyTime::Now();
    const SteadyTime sweep_at = registry_->Sweep(now);
    // In a large cluster every node that passes wakes this thread: it counts for a twentieth of the
    // time at most.
    const bool counts = count_at <= now;
    if (counts) {
      metrics_->SetNodes(registry_->List());
      count_at = now + 20 * (SteadyTime::Now() - now);
    }
    for (const NodeHandle& node : registry_->ClaimUnverified(now)) {
      // What was asked of it before has been overtaken: on a node that hangs, they would pile up.
      for (auto& [id, older] : verifications_) {
        if (older.node_id == node.node_id) older.give_up.request_stop();
      }
      const int64_t id = next_verification_++;
      Verification& verification = verifications_[id];
      verification.node_id = node.node_id;
      verification.thread =
          std::jthread([this, node, id, give_up = verification.give_up.get_token()] {
            Verify(node, give_up);
            mailbox_.Post([this, id] { verifications_.erase(id); });
          });
    }
    mailbox_.RunUntil(std::min({sweep_at, registry_->NextVerification(),
                                counts ? SteadyTime::InfiniteFuture() : count_at}));
  }
  verifications_.clear();
}

absl::Status NodeSupervisor::VerifyClassifier(const NodeHandle& node, std::stop_token stop,
                                              bool* wrong_weights) {
  RunPins pins;
  {
    MutexLock lock(&mutex_);
    pins = pins_;
  }
  if (!pins.canaries.contains(node.role)) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(
      const ScoreAnswer answer,
      ScoreCanaryTexts(clients_->Reward(node.node_id, node.address).get(), std::move(stop)));
  absl::Status status = CheckScoreCanary(node.role, pins, answer);
  *wrong_weights = !status.ok();
  return status;
}

absl::Status NodeSupervisor::VerifyPolicy(const NodeHandle& node, std::stop_token stop,
                                          bool* wrong_weights) {
  const std::shared_ptr<PolicyClient> client = clients_->Policy(node.node_id, node.address);
  MELLOW_RETURN_IF_ERROR(VerifyChampion(node, client.get(), stop, wrong_weights));
  const std::shared_ptr<const AdapterTarget> target = this->target();
  if (target == nullptr || node.other_model) return absl::OkStatus();

  const SteadyTime begin = SteadyTime::Now();
  const bool has_it = std::any_of(node.adapters.begin(), node.adapters.end(),
                                  [&](const AdapterRef& ref) { return ref == target->ref; });
  absl::Status status;
  if (target->files != nullptr && !has_it) {
    status = Annotate(Deliver(node, client.get(), *target, wire::Publication::kNewest, stop),
                      absl::StrCat("publishing adapter ", ToString(target->ref)));
  } else if (target->files != nullptr) {
    sources_.Add(target->ref, node.address);
  }
  const SteadyTime published = SteadyTime::Now();
  if (status.ok()) status = RunCanary(client.get(), *target, stop, wrong_weights);
  MutexLock lock(&mutex_);
  if (target_ == target) {
    times_.publish_seconds =
        std::max(times_.publish_seconds, absl::ToDoubleSeconds(published - begin));
    times_.canary_seconds =
        std::max(times_.canary_seconds, absl::ToDoubleSeconds(SteadyTime::Now() - published));
  }
  return status;
}

void NodeSupervisor::Verify(const NodeHandle& node, std::stop_token give_up) {
  const LinkedStop stop(node.life, stop_.get_token(), give_up);
  bool wrong_weights = false;
  const absl::Status status = node.role == NodeRole::kPolicy
                                  ? VerifyPolicy(node, stop.token(), &wrong_weights)
                                  : VerifyClassifier(node, stop.token(), &wrong_weights);
  if (status.ok()) return registry_->MarkVerified(node);
  if (stop.token().stop_requested()) return;
  if (wrong_weights) metrics_->CountCanaryFailure(node.node_id);
  obs::Log(obs::Severity::kWarning, "node quarantined",
           {{"role", ToString(node.role)},
            {"node", node.node_id},
            {"address", node.address},
            {"error", status.ToString()}});
  registry_->Quarantine(node, std::string(status.message()), wrong_weights,
                        SteadyTime::Now() + retry_);
}

}  // namespace mellow::orchestrator
