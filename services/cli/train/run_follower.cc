#include "services/cli/train/run_follower.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/terminal/command.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

}  // namespace

void WarnOfMissingJudge(const v1::RunSpec& spec, const std::string& folder) {
  if (!spec.guard().has_judge()) return;
  const auto orchestrator = ConnectOrchestrator(folder);
  if (!orchestrator.ok()) return;
  const absl::StatusOr<std::vector<v1::Node>> nodes = (*orchestrator)->ListNodes();
  if (!nodes.ok()) return;
  const bool there = std::any_of(nodes->begin(), nodes->end(), [](const v1::Node& node) {
    return node.role() == v1::NODE_ROLE_JUDGE && node.state() != v1::NODE_STATE_LOST;
  });
  if (there) return;
  std::fprintf(stderr,
               "mellow: guard.judge: the cluster has no judge, and the run waits for one (`mellow "
               "up --judge-model MODEL`, or a mellow_reward_server --judge that registers)\n");
}

absl::StatusOr<v1::Run> StopRun(OrchestratorClient* orchestrator, const std::string& run_id,
                                bool wait) {
  MELLOW_ASSIGN_OR_RETURN(v1::Run run, orchestrator->StopRun(run_id));
  if (!wait || run.state() != v1::RUN_STATE_RUNNING) return run;
  std::fprintf(stderr,
               "mellow: run %s stops after the phase in progress (Ctrl-C: leave at once, it stops "
               "all the same)\n",
               run_id.c_str());
  MELLOW_RETURN_IF_ERROR(orchestrator->WatchRun(run_id, run.committed_steps(),
                                                [&run](const v1::WatchRunResponse& event) {
                                                  if (event.has_ended()) run = event.ended();
                                                }));
  return run;
}

void RunFollower::OnInterrupt() {
  MutexLock lock(&mutex_);
  if (client_ != nullptr) client_->CancelWatch();
}

absl::StatusOr<std::shared_ptr<OrchestratorClient>> RunFollower::Connect() {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> found,
                          ServicesOfRole(folder_, "orchestrator"));
  MutexLock lock(&mutex_);
  if (client_ == nullptr || client_->address() != found[0].address)
    client_ = std::make_shared<OrchestratorClient>(found[0].address);
  if (interrupts_.interrupted()) client_->CancelWatch();
  return client_;
}

absl::StatusOr<int> RunFollower::Follow(const v1::Run& started, int shown, FollowPlan plan) {
  plan_ = std::move(plan);
  run_id_ = started.run_id();
  shown_ = shown;
  v1::Run run = started;
  while (!interrupts_.interrupted() && GoesOn(run)) {
    MELLOW_ASSIGN_OR_RETURN(run, WatchOnce());
  }
  if (run.state() == v1::RUN_STATE_RUNNING) return Interrupted();
  if (!ended_ && interrupts_.interrupted()) return kInterruptedExitCode;  // of a run that is over
  return Finish(run);
}

absl::StatusOr<v1::Run> RunFollower::WatchOnce() {
  MELLOW_RETURN_IF_ERROR(Watch());
  MELLOW_ASSIGN_OR_RETURN(const v1::Run run, Retry<v1::Run>([this](OrchestratorClient& c) {
                            return c.GetRun(run_id_);
                          }));
  // The stream broke, too many others watch, or nobody drives the run just now (its orchestrator is
  // starting or ending).
  if (GoesOn(run) && !interrupts_.interrupted()) {
    view_->ShowActivity("waiting for the orchestrator");
    interrupts_.WaitFor(kRetryPause);
  }
  return run;
}

absl::Status RunFollower::Watch() {
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<OrchestratorClient> client, Connect());
  absl::Status shown;
  ended_ = false;
  const absl::Status status =
      client->WatchRun(run_id_, shown_, [&](const v1::WatchRunResponse& event) {
        ShowStart(client.get(), !event.activity().empty());
        if (event.has_step() && event.step().step() > shown_) {
          view_->ShowStep(event.step());
          shown_ = event.step().step();
          shown.Update(plan_.on_shown(shown_));
        }
        if (!event.activity().empty()) view_->ShowActivity(event.activity());
        ended_ = event.has_ended();
      });
  MELLOW_RETURN_IF_ERROR(shown);
  if (rpc::IsRetryable(status) || absl::IsCancelled(status)) return absl::OkStatus();
  return status;
}

void RunFollower::ShowStart(OrchestratorClient* client, bool another_chance) {
  if (start_shown_) return;
  const absl::StatusOr<v1::Run> run = client->GetRun(run_id_);
  const bool opened = run.ok() && run->total_parameters() > 0;
  if (opened) view_->ShowStart(*run);
  start_shown_ = opened || !another_chance;
}

absl::StatusOr<int> RunFollower::Interrupted() {
  view_->ShowActivity("");
  if (!plan_.stops) {
    std::fprintf(stderr, "mellow: run %s goes on; it is stopped by: %s\n", run_id_.c_str(),
                 CommandLine({"stop", run_id_, "--dir", dir_}).c_str());
    return kInterruptedExitCode;
  }
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator, ConnectOrchestrator(folder_));
  MELLOW_ASSIGN_OR_RETURN(const v1::Run run, StopRun(orchestrator.get(), run_id_, /*wait=*/true));
  std::fprintf(stderr, "mellow: stopped after step %d of %d; go on with: %s\n",
               run.committed_steps(), run.total_steps(), plan_.go_on.c_str());
  return kInterruptedExitCode;
}

absl::StatusOr<int> RunFollower::Finish(const v1::Run& run) {
  view_->ShowActivity("");
  if (run.state() == v1::RUN_STATE_DONE && run.committed_steps() >= run.total_steps()) {
    view_->ShowDone(run);
    plan_.on_done(run);
    return 0;
  }
  const std::string hint = BestStepHint(run, run.run_id(), plan_.evaluation_file, dir_);
  if (!hint.empty()) std::fprintf(stderr, "mellow: %s\n", hint.c_str());
  const std::string where = absl::StrCat(
      "run ", run.run_id(), " ", run.state() == v1::RUN_STATE_STOPPED ? "was stopped" : "failed",
      " after step ", run.committed_steps(), " of ", run.total_steps());
  return absl::AbortedError(absl::StrCat(where, run.error().empty() ? "" : ": ", run.error(),
                                         "; go on with: ", plan_.go_on));
}

}  // namespace mellow::cli
