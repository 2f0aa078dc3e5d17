#ifndef MELLOW_SERVICES_CLI_TRAIN_RUN_FOLLOWER_H_
#define MELLOW_SERVICES_CLI_TRAIN_RUN_FOLLOWER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/run_view.h"
#include "services/cli/terminal/interrupts.h"
#include "services/cli/train/train_view.h"

namespace mellow::cli {

struct FollowPlan {
  std::string go_on;  // the command that goes on with a run that was stopped or failed
  // Of the command that finds the best step of a run that its guard stopped.
  std::string evaluation_file = kEvaluationFile;
  bool stops = false;  // Ctrl-C stops the run; else it only ends the watching
  // After a step was shown. An error ends the following.
  std::function<absl::Status(int step)> on_shown = [](int) { return absl::OkStatus(); };
  // Every step is committed, and the view has said so.
  std::function<void(const orchestrator::v1::Run&)> on_done = [](const auto&) {};
};

// Follows a run over crashes of anything, and shows its steps. Ctrl-C counts from when this is
// made, which is before other threads start.
class RunFollower {
 public:
  // `dir`: the folder of the cluster as the user wrote it, for commands that are printed.
  RunFollower(std::string folder, std::string dir)
      : folder_(std::move(folder)), dir_(std::move(dir)), interrupts_([this] { OnInterrupt(); }) {}

  // What shows the run; before Retry and Follow.
  void set_view(std::unique_ptr<TrainView> view) { view_ = std::move(view); }
  TrainView* view() { return view_.get(); }

  // Calls until it gives an answer that another try would not change, for a few minutes at most.
  // Cancelled: interrupted.
  template <typename Result>
  absl::StatusOr<Result> Retry(
      const std::function<absl::StatusOr<Result>(OrchestratorClient&)>& call) {
    const SteadyTime deadline = SteadyTime::Now() + kPatience;
    while (true) {
      absl::StatusOr<std::shared_ptr<OrchestratorClient>> client = Connect();
      if (!client.ok()) return client.status();
      absl::StatusOr<Result> result = call(**client);
      if (result.ok() || !rpc::IsRetryable(result.status()) || SteadyTime::Now() > deadline)
        return result;
      view_->ShowActivity("waiting for the orchestrator");
      if (interrupts_.WaitFor(kRetryPause)) return absl::CancelledError("interrupted");
    }
  }

  // Shows the steps after `shown` and what comes, to the end of the run: the exit code. Aborted:
  // the run failed, or was stopped.
  [[nodiscard]] absl::StatusOr<int> Follow(const orchestrator::v1::Run& started, int shown,
                                           FollowPlan plan);

 private:
  // An orchestrator that does not answer for that long is not coming back by itself.
  static constexpr absl::Duration kPatience = absl::Minutes(3);
  static constexpr absl::Duration kRetryPause = absl::Milliseconds(300);

  void OnInterrupt();
  // Whether there is something to watch: the run goes on, or its end has not been seen.
  bool GoesOn(const orchestrator::v1::Run& run) const {
    return run.state() == orchestrator::v1::RUN_STATE_RUNNING || !ended_;
  }
  // The orchestrator at the address that cluster.json gives now: a restart may have moved it.
  absl::StatusOr<std::shared_ptr<OrchestratorClient>> Connect();
  // Follows the stream to its end or break; then the run as it is now.
  absl::StatusOr<orchestrator::v1::Run> WatchOnce();
  // OK: the stream ended or broke, and the run tells which. An error that another try would not
  // change.
  absl::Status Watch();
  // The learner opens the run some time before the first step.
  void ShowStart(OrchestratorClient* client, bool another_chance);
  absl::StatusOr<int> Interrupted();
  absl::StatusOr<int> Finish(const orchestrator::v1::Run& run);

  const std::string folder_;
  const std::string dir_;
  FollowPlan plan_;
  std::unique_ptr<TrainView> view_;
  std::string run_id_;
  int shown_ = 0;
  bool start_shown_ = false;
  bool ended_ = false;  // the last watch saw the run's end
  Mutex mutex_;
  std::shared_ptr<OrchestratorClient> client_ ABSL_GUARDED_BY(mutex_);
  Interrupts interrupts_;  // last: it calls OnInterrupt
};

// A cluster need not have a judge, and a run that wants one waits: says so on standard error, as
// far as the orchestrator tells it now.
void WarnOfMissingJudge(const orchestrator::v1::RunSpec& spec, const std::string& folder);

// Asks the run to stop and, unless told otherwise, waits until the phase in progress is done. The
// run as it is then.
[[nodiscard]] absl::StatusOr<orchestrator::v1::Run> StopRun(OrchestratorClient* orchestrator,
                                                            const std::string& run_id, bool wait);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_RUN_FOLLOWER_H_
