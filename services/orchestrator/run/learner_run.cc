#include "services/orchestrator/run/learner_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/retry.h"

namespace mellow::orchestrator {

LearnerRun::LearnerRun(OpenCall open, History history, NodeRegistry* registry, NodeClients* clients,
                       RunObserver* observer, RunSignals signals)
    : open_(std::move(open)),
      history_(std::move(history)),
      registry_(registry),
      clients_(clients),
      observer_(observer),
      signals_(std::move(signals)) {}

absl::Status LearnerRun::OpenOn(const NodeHandle& node, LearnerClient* client,
                                std::stop_token stop) {
  if (opened_ == node.incarnation) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(state_, client->OpenRun(open_, stop));
  while (true) {
    MELLOW_ASSIGN_OR_RETURN(const std::optional<TrainedStep> lost, history_(state_.last_step));
    if (!lost) break;
    obs::Log(obs::Severity::kWarning, "the learner has lost a step and trains it again",
             {{"run", open_.run_id}, {"step", lost->call.step}, {"node", node.node_id}});
    observer_->OnActivity(absl::StrCat("step ", lost->call.step, ": train again"));
    MELLOW_ASSIGN_OR_RETURN(const TrainAnswer again, client->Train(lost->call, stop));
    if (!SameWeights(again.adapter, lost->adapter)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "step ", lost->call.step, " trained again gives adapter ", ToString(again.adapter),
          ", and gave ", ToString(lost->adapter), ": another machine type or thread count?"));
    }
    state_.last_step = lost->call.step;
    state_.adapter = again.adapter;
  }
  opened_ = node.incarnation;
  return absl::OkStatus();
}

template <typename Answer>
absl::StatusOr<Answer> LearnerRun::Call(
    const std::string& doing,
    const std::function<absl::StatusOr<Answer>(LearnerClient*, std::stop_token)>& call) {
  const NodeRegistry::Subscription subscription(registry_, [this] { mailbox_.Wake(); });
  const std::stop_callback on_stop(signals_.stop, [this] { mailbox_.Wake(); });
  const std::stop_callback on_shutdown(signals_.shutdown, [this] { mailbox_.Wake(); });
  bool reopened = false;
  int defects = 0;
  std::string complaint;
  while (!signals_.stop.stop_requested() && !signals_.shutdown.stop_requested()) {
    const SteadyTime now = SteadyTime::Now();
    const std::vector<NodeHandle> learners = registry_->Ready(NodeRole::kLearner, now);
    if (learners.empty()) {
      observer_->OnActivity(absl::StrCat(
          doing, ": waiting for the learner: ",
          complaint.empty() ? registry_->WhyNoneReady(NodeRole::kLearner) : complaint));
      mailbox_.RunUntil(registry_->NextRetry(NodeRole::kLearner, now));
      continue;
    }
    const NodeHandle& node = learners.front();
    observer_->OnActivity(doing);
    const std::shared_ptr<LearnerClient> client = clients_->Learner(node.node_id, node.address);
    const LinkedStop stop(node.life, signals_.shutdown);
    absl::Status status = OpenOn(node, client.get(), stop.token());
    if (status.ok()) {
      observer_->OnActivity(doing);  // opening may have said what it trains again
      absl::StatusOr<Answer> answer = call(client.get(), stop.token());
      if (answer.ok()) {
        registry_->ReportSuccess(node.node_id);
        return answer;
      }
      status = answer.status();
    }
    const Remedy remedy = RemedyFor(NodeRole::kLearner, status.code());
    // "No such run open" is what a learner says that lost it without a restart that we saw.
    if (remedy == Remedy::kReopen && !reopened) {
      reopened = true;
      opened_.clear();
      continue;
    }
    const bool again =
        remedy == Remedy::kAgain || (remedy == Remedy::kFewTimes && ++defects < kMaxDefects);
    if (!again) return status;
    opened_.clear();
    // What was given up from here is no failure of the node's.
    if (!stop.token().stop_requested())
      registry_->ReportFailure(node, SteadyTime::Now(), /*lease=*/false);
    if (complaint.empty()) {
      obs::Log(obs::Severity::kWarning, "the learner is away, trying on",
               {{"doing", doing}, {"error", status.ToString()}});
    }
    complaint = absl::StrCat("at ", node.address, ": ", status.message());
  }
  return absl::CancelledError("the run was asked to stop");
}

absl::StatusOr<OpenAnswer> LearnerRun::Open() {
  return Call<OpenAnswer>(
      "opening the run at the learner",
      [this](LearnerClient*, std::stop_token) -> absl::StatusOr<OpenAnswer> { return state_; });
}

absl::StatusOr<TrainAnswer> LearnerRun::Train(const TrainCall& call, const std::string& prefix) {
  return Call<TrainAnswer>(prefix, [&](LearnerClient* client, std::stop_token stop) {
    return client->Train(call, std::move(stop));
  });
}

absl::StatusOr<AdapterAnswer> LearnerRun::GetAdapter(int64_t version) {
  return Call<AdapterAnswer>(absl::StrCat("fetching adapter ", version),
                             [&](LearnerClient* client, std::stop_token stop) {
                               return client->GetAdapter(open_.run_id, version, std::move(stop));
                             });
}

absl::StatusOr<PairScores> LearnerRun::ScoreTokens(const std::vector<TokenPair>& pairs,
                                                   bool reference) {
  return Call<PairScores>(
      "scoring at the learner", [&](LearnerClient* client, std::stop_token stop) {
        return client->ScoreTokens(open_.run_id, pairs, reference, std::move(stop));
      });
}

}  // namespace mellow::orchestrator
