#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_MANAGER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_MANAGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/run_status.h"
#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/run_method.h"
#include "services/wire/watch_sink.h"

namespace mellow::orchestrator {

// A run as it was asked for.
struct RunRequest {
  std::string spec;  // RunSpec, serialized: what the ledger keeps
  std::string request_id;
};

using WatchSink = wire::WatchSink<StepRecord, RunStatus>;

// Starts, stops and resumes runs, at most one of each method at a time, each driven by a thread of
// its own.
// Thread-safe.
class RunManager {
 public:
  // Reads a run's settings. InvalidArgument (field named): they are wrong, or the data do not fit.
  using ReadSpec =
      std::function<absl::StatusOr<std::unique_ptr<RunMethod>>(const std::string& spec)>;

  RunManager(DriverParts parts, ReadSpec read);
  // As Shutdown.
  ~RunManager();
  RunManager(const RunManager&) = delete;
  RunManager& operator=(const RunManager&) = delete;

  // Publishes the newest adapter again and goes on with the runs that were RUNNING when the process
  // ended.
  [[nodiscard]] absl::Status Recover();
  // Ends the active runs where they are; they stay RUNNING in the ledger, and Recover goes on.
  // Watchers return as soon as their sinks do.
  void Shutdown();

  // The run's id. InvalidArgument (field named) when the data or the nodes do not fit;
  // FailedPrecondition: another run of the method is active; Unavailable: shutting down.
  [[nodiscard]] absl::StatusOr<std::string> Start(const RunRequest& request);
  [[nodiscard]] absl::StatusOr<RunStatus> Get(const std::string& run_id);
  // Newest first.
  [[nodiscard]] absl::StatusOr<std::vector<RunStatus>> List();
  // Returns at once; the run is STOPPED after the phase in progress.
  [[nodiscard]] absl::StatusOr<RunStatus> Stop(const std::string& run_id);
  [[nodiscard]] absl::StatusOr<RunStatus> Resume(const std::string& run_id);
  // Committed steps after `after_step`, then what happens, until the run ends, the watcher goes, or
  // shutdown (Unavailable).
  [[nodiscard]] absl::Status Watch(const std::string& run_id, int after_step, WatchSink* sink);

 private:
  // A run that is being driven.
  struct Active : RunObserver {
    Active(RunManager* manager, std::string id, std::unique_ptr<RunMethod> method)
        : manager(manager), run_id(std::move(id)), method(std::move(method)) {}
    void OnActivity(const std::string& activity) override;
    void OnStep(const StepRecord& step) override;
    void OnOpened(const ParameterCounts& opened) override;

    RunManager* const manager;
    const std::string run_id;
    const std::unique_ptr<RunMethod> method;
    std::stop_source stop;
    std::string activity;        // guarded by the manager's mutex
    ParameterCounts parameters;  // guarded by the manager's mutex
    bool ended = false;          // guarded by the manager's mutex
    std::jthread thread;
  };

  // The newest PPO runs in the metrics. `runs`: the newest first.
  absl::Status ShowNewest(const std::vector<RunRecord>& runs);
  void Launch(const std::string& run_id, std::unique_ptr<RunMethod> method)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_mutex_);
  // In the run's thread: to its end, which the ledger then has. A full disk of ours ends no run: it
  // goes on from the ledger when there is room.
  void Drive(Active* active);
  // Tells why the run waits, and returns after a pause. False: `ended` stops.
  bool WaitForRoom(Active* active, const absl::Status& full, std::stop_token ended);
  void Changed();
  // Also a run that has ended, as long as it is the newest of its method; null: no such one.
  Active* Find(const std::string& run_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsActive(const std::string& run_id);
  absl::StatusOr<RunStatus> StatusOf(const RunRecord& run);

  const DriverParts parts_;
  const ReadSpec read_;
  std::stop_source shutdown_;
  Mutex control_mutex_;  // one run is launched, stopped or ended at a time; taken before mutex_
  Mutex mutex_;
  CondVar changed_;
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  int watchers_ ABSL_GUARDED_BY(mutex_) = 0;
  // The newest run of each method; it may have ended.
  std::map<Method, std::unique_ptr<Active>> active_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_MANAGER_H_
