#include "services/orchestrator/node_supervisor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/orchestrator/linked_stop.h"

namespace mellow::orchestrator {

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
  {
    MutexLock lock(&mutex_);
    target_ = std::make_shared<const AdapterTarget>(std::move(target));
    times_ = {};
  }
  registry_->RequireVerification(reason);
}

std::shared_ptr<const AdapterTarget> NodeSupervisor::target() const {
  MutexLock lock(&mutex_);
  return target_;
}

SettleTimes NodeSupervisor::times() const {
  MutexLock lock(&mutex_);
  return times_;
}

void NodeSupervisor::Loop() {
  const NodeRegistry::Subscription subscription(registry_, [this] { mailbox_.Wake(); });
  while (!stop_.stop_requested()) {
    const absl::Time now = absl::Now();
    const absl::Time sweep_at = registry_->Sweep(now);
    metrics_->SetNodes(registry_->List());
    for (const NodeHandle& node : registry_->ClaimUnverified(now)) {
      const int64_t id = next_verification_++;
      verifications_[id] = std::jthread([this, node, id] {
        Verify(node);
        mailbox_.Post([this, id] { verifications_.erase(id); });
      });
    }
    mailbox_.RunUntil(std::min(sweep_at, registry_->NextVerification()));
  }
  verifications_.clear();
}

void NodeSupervisor::Verify(const NodeHandle& node) {
  const std::shared_ptr<const AdapterTarget> target = this->target();
  if (target == nullptr) return registry_->MarkVerified(node);
  const LinkedStop stop(node.life, stop_.get_token());
  const std::shared_ptr<PolicyClient> client = clients_->Policy(node.node_id, node.address);

  const absl::Time begin = absl::Now();
  absl::Status status;
  const bool has_it = std::any_of(node.adapters.begin(), node.adapters.end(),
                                  [&](const AdapterRef& ref) { return ref == target->ref; });
  if (target->files != nullptr && !has_it) {
    status = Annotate(client->PublishAdapter(target->ref, *target->files, stop.token()),
                      absl::StrCat("publishing adapter ", ToString(target->ref)));
  }
  const absl::Time published = absl::Now();
  bool wrong_weights = false;
  if (status.ok() && !target->canary.pairs.empty()) {
    absl::StatusOr<PairScores> scores =
        client->ScoreTokens(target->canary.pairs, target->ref.version, stop.token());
    if (!scores.ok()) {
      status = Annotate(scores.status(), "canary");
    } else if (!SameWeights(scores->adapter, target->ref)) {
      status = absl::FailedPreconditionError(absl::StrCat("canary: answered with adapter ",
                                                          ToString(scores->adapter), " instead of ",
                                                          ToString(target->ref)));
      wrong_weights = true;
    } else {
      status = CheckCanary(target->canary, scores->logprobs);
      wrong_weights = !status.ok();
    }
  }
  {
    MutexLock lock(&mutex_);
    if (target_ == target) {
      times_.publish_seconds =
          std::max(times_.publish_seconds, absl::ToDoubleSeconds(published - begin));
      times_.canary_seconds =
          std::max(times_.canary_seconds, absl::ToDoubleSeconds(absl::Now() - published));
    }
  }
  if (status.ok()) return registry_->MarkVerified(node);
  if (stop_.stop_requested()) return;
  if (wrong_weights) metrics_->CountCanaryFailure(node.node_id);
  obs::Log(obs::Severity::kWarning, "policy node quarantined",
           {{"node", node.node_id}, {"address", node.address}, {"error", status.ToString()}});
  registry_->Quarantine(node, std::string(status.message()), wrong_weights, absl::Now() + retry_);
}

}  // namespace mellow::orchestrator
