#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_RUNNER_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_RUNNER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/obs/metrics.h"
#include "common/sync/mutex.h"
#include "services/learner/base/compute_progress.h"
#include "services/learner/base/compute_turns.h"
#include "services/learner/sft/sft_archive.h"
#include "services/learner/sft/sft_session.h"
#include "services/learner/sft/sft_status.h"
#include "services/wire/watch_sink.h"

namespace mellow::learner {

using SftSink = wire::WatchSink<SftStepRecord, SftStatus>;

// Runs one SftSession at a time in a thread of its own, whoever watches. Thread-safe.
class SftRunner {
 public:
  // `turns` and `metrics` must outlive it. A run that finds the disk full or no memory goes on from
  // its checkpoint after `pause`, as often as it takes; the activity says so.
  SftRunner(SftSession::Options options, ComputeTurns* turns, obs::Metrics* metrics,
            absl::Duration pause = absl::Seconds(10));
  // Ends after the step in progress, with a checkpoint.
  ~SftRunner();
  SftRunner(const SftRunner&) = delete;
  SftRunner& operator=(const SftRunner&) = delete;

  // Errors of SftSession::Check; Unavailable: draining.
  [[nodiscard]] absl::Status Check(const SftPlan& plan);
  // Starts the run, goes on with it, or finds it running or done: harmless to repeat. Waits for the
  // data and the weights, and before that for another run that is in progress, which it stops.
  // Errors of SftSession::Open; FailedPrecondition: this run has other settings. Unavailable:
  // draining.
  [[nodiscard]] absl::StatusOr<SftStatus> Start(const SftSettings& settings);
  // Every record after `after_step`, then the end; also of a run that an earlier process finished.
  // NotFound: no such run here. Unavailable: this process ends before the run. Cancelled: the sink
  // was. InvalidArgument: no run id. DataLoss: what was kept of the run is damaged.
  [[nodiscard]] absl::Status Watch(const std::string& run_id, int64_t after_step, SftSink* sink);
  // Waits until the step in progress is done. NotFound: no such run here.
  [[nodiscard]] absl::StatusOr<SftStatus> Stop(const std::string& run_id);
  // How long the run in progress makes none; 0: it does, or there is none.
  [[nodiscard]] absl::Duration Stalled(SteadyTime now = SteadyTime::Now()) const {
    return progress_.Stalled(now);
  }
  // Takes no more work; the run in progress ends after its step and is not counted as stopped.
  void Drain();

 private:
  void Loop(const SftSettings& settings);
  absl::Status TrainToTheEnd();
  // After `why`: drops the session, pauses, and opens it again. Cancelled: the run is to stop.
  // ResourceExhausted: it is not over. Errors of SftSession::Open.
  absl::Status OpenAgain(const SftSettings& settings, const absl::Status& why);
  void Publish(const SftStepRecord& record);
  void Say(const std::string& activity);
  void End(SftState state, const absl::Status& error = {});
  // What stays of a run when this process forgets it.
  [[nodiscard]] absl::Status Keep(const SftStatus& done) const;
  [[nodiscard]] absl::Status Replay(const std::string& run_id, int64_t after_step,
                                    SftSink* sink) const;
  [[nodiscard]] bool IsHere(const std::string& run_id) const;
  [[nodiscard]] absl::Status CheckIsHere(const std::string& run_id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SftSession::Options options_;
  ComputeTurns* const turns_;
  const absl::Duration pause_;
  ComputeProgress progress_;  // of the worker
  obs::Counter steps_total_;
  obs::Gauge loss_, dev_loss_, learning_rate_, gradient_norm_;

  Mutex start_mutex_;  // held while a run is opened
  // Belongs to the worker while it runs, to Start otherwise.
  std::unique_ptr<SftSession> session_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool working_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<SftStatus> status_ ABSL_GUARDED_BY(mutex_);
  std::string spec_json_ ABSL_GUARDED_BY(mutex_);
  std::vector<SftStepRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::string activity_ ABSL_GUARDED_BY(mutex_);
  std::jthread worker_ ABSL_GUARDED_BY(start_mutex_);  // last: joined first
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_RUNNER_H_
