#include "services/orchestrator/run/learner_calls.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/nodes/retry.h"
#include "services/orchestrator/nodes/while_working.h"

namespace mellow::orchestrator {

absl::Status LearnerCalls::Call(const std::string& doing, const Attempt& attempt,
                                const std::function<void()>& forget) {
  const NodeRegistry::Subscription subscription(registry_, [this] { mailbox_.Wake(); });
  const std::stop_callback on_stop(signals_.stop, [this] { mailbox_.Wake(); });
  const std::stop_callback on_shutdown(signals_.shutdown, [this] { mailbox_.Wake(); });
  bool reopened = false;
  int defects = 0;
  std::string complaint;
  bool told = false;
  while (!signals_.stop.stop_requested() && !signals_.shutdown.stop_requested()) {
    const SteadyTime now = SteadyTime::Now();
    const std::vector<NodeHandle> nodes = registry_->Ready(NodeRole::kLearner, now);
    if (nodes.empty()) {
      observer_->OnActivity(absl::StrCat(
          doing, ": waiting for the learner: ",
          complaint.empty() ? registry_->WhyNoneReady(NodeRole::kLearner) : complaint));
      mailbox_.RunUntil(registry_->NextRetry(NodeRole::kLearner, now));
      continue;
    }
    const NodeHandle& node = nodes.front();
    observer_->OnActivity(doing);
    // A step may take hours, so there is no deadline; one that hangs is known by its heartbeats.
    const WhileWorking stop(registry_, node, signals_.shutdown);
    const absl::Status status = attempt(node, stop.token());
    if (status.ok()) {
      registry_->ReportSuccess(node.node_id);
      return status;
    }
    const Remedy remedy = RemedyFor(NodeRole::kLearner, status.code());
    // "No such run open" is what a learner says that lost it without a restart that we saw.
    if (remedy == Remedy::kReopen && !reopened) {
      reopened = true;
      if (forget) forget();
      continue;
    }
    const bool again =
        remedy == Remedy::kAgain || (remedy == Remedy::kFewTimes && ++defects < kMaxDefects);
    if (!again) return status;
    if (forget) forget();
    // What was given up from here is no failure of the node's, and the registry knows the reason.
    const bool given_up = stop.token().stop_requested();
    if (!given_up) registry_->ReportFailure(node, SteadyTime::Now(), /*lease=*/false);
    if (!std::exchange(told, true)) {
      obs::Log(obs::Severity::kWarning, "the learner is away, trying on",
               {{"doing", doing}, {"error", status.ToString()}});
    }
    complaint = given_up ? "" : absl::StrCat("at ", node.address, ": ", status.message());
  }
  return AskedToStop();
}

}  // namespace mellow::orchestrator
