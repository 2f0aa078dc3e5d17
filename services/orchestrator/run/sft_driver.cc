#include "services/orchestrator/run/sft_driver.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/retry.h"
#include "services/orchestrator/nodes/while_working.h"

namespace mellow::orchestrator {
namespace {

// Whether a run that failed at the learner with this code may do better from its checkpoint.
bool MayPass(absl::StatusCode code) {
  const Remedy remedy = RemedyFor(NodeRole::kLearner, code);
  return code != absl::StatusCode::kOk && (remedy == Remedy::kAgain || remedy == Remedy::kFewTimes);
}

}  // namespace

SftDriver::SftDriver(const DriverParts& parts, std::string run_id, std::string spec,
                     RunObserver* observer, RunSignals signals)
    : parts_(parts),
      run_id_(std::move(run_id)),
      spec_(std::move(spec)),
      observer_(observer),
      signals_(std::move(signals)),
      calls_(parts.registry, observer, signals_) {}

absl::Status SftDriver::Run() {
  MELLOW_ASSIGN_OR_RETURN(const std::optional<StepRecord> last, parts_.ledger->LastStep(run_id_));
  if (last) last_step_ = last->step;
  absl::StatusOr<SftAnswer> ended = Follow();
  const bool asked = signals_.stop.stop_requested() && !signals_.shutdown.stop_requested();
  if (asked && absl::IsCancelled(ended.status())) ended = Stop(ended.status());
  MELLOW_RETURN_IF_ERROR(kept_);
  MELLOW_RETURN_IF_ERROR(ended.status());
  MELLOW_RETURN_IF_ERROR(parts_.ledger->SetProgress(run_id_, ended->run));
  if (ended->state == SftState::kDone) return absl::OkStatus();
  if (ended->state == SftState::kFailed) return absl::FailedPreconditionError(ended->error);
  // Also when nobody asked for it here: another orchestrator has taken the learner.
  return absl::CancelledError("the run was stopped at the learner");
}

absl::StatusOr<SftAnswer> SftDriver::Follow() {
  bool started = false;
  std::optional<SftAnswer> ended;
  const auto attempt = [&](const NodeHandle& node, std::stop_token stop) -> absl::Status {
    if (!started) {
      MELLOW_RETURN_IF_ERROR(StartAt(node, stop));
      if (!kept_.ok()) return absl::OkStatus();
      started = true;
    }
    const LinkedStop until(stop, signals_.stop);
    absl::StatusOr<SftAnswer> answer = WatchAt(node, until.token());
    // What ends the watch from here is no fault of the learner's.
    if (!kept_.ok() || (!answer.ok() && signals_.stop.stop_requested())) return absl::OkStatus();
    // It has restarted, or another run took the place: it does not know this one before it is
    // started again. Two that take the place from each other have to pause in between.
    if (absl::IsNotFound(answer.status())) return absl::UnavailableError(answer.status().message());
    MELLOW_RETURN_IF_ERROR(answer.status());
    if (answer->state == SftState::kFailed && MayPass(answer->code))
      return absl::Status(answer->code, answer->error);
    ended = *std::move(answer);
    return absl::OkStatus();
  };
  MELLOW_RETURN_IF_ERROR(calls_.Call("training", attempt, [&] { started = false; }));
  MELLOW_RETURN_IF_ERROR(kept_);
  if (!ended) return AskedToStop();
  return *std::move(ended);
}

absl::Status SftDriver::StartAt(const NodeHandle& node, std::stop_token stop) {
  observer_->OnActivity("reading data and weights");
  MELLOW_ASSIGN_OR_RETURN(
      const SftAnswer started,
      parts_.clients->Sft(node.node_id, node.address)->Start({run_id_, spec_}, std::move(stop)));
  kept_ = parts_.ledger->SetProgress(run_id_, started.run);
  observer_->OnActivity("training");
  return absl::OkStatus();
}

absl::StatusOr<SftAnswer> SftDriver::WatchAt(const NodeHandle& node, std::stop_token stop) {
  const SftListener listener{.on_step = [this](const StepRecord& step) -> absl::Status {
                               if (step.step <= last_step_) return absl::OkStatus();
                               StepRecord record = step;
                               record.committed_ms = absl::ToUnixMillis(absl::Now());
                               kept_ = parts_.ledger->CommitStep(run_id_, record);
                               MELLOW_RETURN_IF_ERROR(kept_);
                               last_step_ = record.step;
                               observer_->OnStep(record);
                               return absl::OkStatus();
                             },
                             .on_activity =
                                 [this](const std::string& activity) {
                                   if (!activity.empty()) observer_->OnActivity(activity);
                                 }};
  return parts_.clients->Sft(node.node_id, node.address)
      ->Watch(run_id_, last_step_, listener, std::move(stop));
}

absl::StatusOr<SftAnswer> SftDriver::Stop(const absl::Status& asked) {
  const std::vector<NodeHandle> learners =
      parts_.registry->Ready(NodeRole::kLearner, SteadyTime::Now());
  if (learners.empty()) return asked;
  observer_->OnActivity("stopping after the step in progress");
  const NodeHandle& node = learners.front();
  const WhileWorking stop(parts_.registry, node, signals_.shutdown);
  absl::StatusOr<SftAnswer> ended =
      parts_.clients->Sft(node.node_id, node.address)->Stop(run_id_, stop.token());
  // Its last steps, which came while the watch was ended.
  if (ended.ok()) ended = WatchAt(node, stop.token());
  if (ended.ok() || !kept_.ok()) return ended;
  // A learner that does not know the run, or is lost meanwhile, does not go on with it by itself.
  obs::Log(obs::Severity::kWarning, "the learner did not stop the run",
           {{"run", run_id_}, {"error", ended.status().ToString()}});
  return asked;
}

}  // namespace mellow::orchestrator
