#include "services/orchestrator/run/learner_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"

namespace mellow::orchestrator {

LearnerRun::LearnerRun(OpenCall open, History history, NodeRegistry* registry, NodeClients* clients,
                       RunObserver* observer, RunSignals signals)
    : open_(std::move(open)),
      history_(std::move(history)),
      registry_(registry),
      clients_(clients),
      observer_(observer),
      calls_(registry, observer, std::move(signals)) {}

absl::StatusOr<TrainAnswer> LearnerRun::TrainOn(LearnerClient* client, TrainCall call,
                                                std::stop_token stop) {
  call.workers = registry_->Ready(NodeRole::kLearnerWorker, SteadyTime::Now());
  return client->Train(call, std::move(stop));
}

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
    MELLOW_ASSIGN_OR_RETURN(const TrainAnswer again, TrainOn(client, lost->call, stop));
    if (!SameWeights(again.adapter, lost->adapter)) {
      return absl::FailedPreconditionError(
          absl::StrCat("step ", lost->call.step, " trained again gives adapter ",
                       ToString(again.adapter), ", and gave ", ToString(lost->adapter),
                       ": another machine type, or (with CUDA) learner workers, whose sums are not "
                       "repeatable; restore the learner's checkpoint"));
    }
    state_.last_step = lost->call.step;
    state_.adapter = again.adapter;
    state_.value_head = again.value_head;
  }
  opened_ = node.incarnation;
  return absl::OkStatus();
}

template <typename Answer>
absl::StatusOr<Answer> LearnerRun::Call(
    const std::string& doing,
    const std::function<absl::StatusOr<Answer>(LearnerClient*, std::stop_token)>& call) {
  std::optional<Answer> answer;
  const auto attempt = [&](const NodeHandle& node, std::stop_token stop) -> absl::Status {
    const std::shared_ptr<LearnerClient> client = clients_->Learner(node.node_id, node.address);
    MELLOW_RETURN_IF_ERROR(OpenOn(node, client.get(), stop));
    observer_->OnActivity(doing);  // opening may have said what it trains again
    MELLOW_ASSIGN_OR_RETURN(answer, call(client.get(), stop));
    return absl::OkStatus();
  };
  MELLOW_RETURN_IF_ERROR(calls_.Call(doing, attempt, [this] { opened_.clear(); }));
  return *std::move(answer);
}

absl::StatusOr<OpenAnswer> LearnerRun::Open() {
  return Call<OpenAnswer>(
      "opening the run at the learner",
      [this](LearnerClient*, std::stop_token) -> absl::StatusOr<OpenAnswer> { return state_; });
}

absl::StatusOr<TrainAnswer> LearnerRun::Train(const TrainCall& call, const std::string& prefix) {
  return Call<TrainAnswer>(prefix, [&](LearnerClient* client, std::stop_token stop) {
    return TrainOn(client, call, std::move(stop));
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
