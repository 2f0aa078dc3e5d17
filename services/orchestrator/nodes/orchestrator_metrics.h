#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_ORCHESTRATOR_METRICS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_ORCHESTRATOR_METRICS_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/obs/metrics.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/types.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// Everything that /metrics of the orchestrator shows besides its rpcs. Thread-safe.
class OrchestratorMetrics {
 public:
  // `metrics` must outlive this object.
  explicit OrchestratorMetrics(obs::Metrics* metrics);

  // Series of runs have a label `run`, and stay for the kShownRuns runs of each method that were
  // told of first last.
  static constexpr size_t kShownRuns = 4;
  // The last committed step of a PPO run: mellow_ppo_*. The first one, too, at some time before:
  // what KL may be counts from there.
  void SetStep(const std::string& run_id, const StepRecord& step);
  // The run that became RUNNING last, of whatever method, is the newest one.
  void SetRunState(const std::string& run_id, Method method, RunState state);
  // See RunConfig.
  void SetKlTarget(const std::string& run_id, double target, bool reference_is_start);
  // How often the guard of a run tripped, by check.
  void SetGuardTrips(const std::string& run_id, const std::vector<GuardTrip>& trips);
  // Nothing: there is none.
  void SetChampion(const std::optional<AdapterRef>& champion);
  // What every policy node has to have from now on.
  void SetTarget(const AdapterRef& target);
  // Counts by role, device and state. Each role and device that is there has every state.
  void SetNodes(const std::vector<NodeStatus>& nodes);
  // `result`: done, duplicate, failed, late, lost.
  void CountLease(absl::string_view result);
  void CountRollouts(int sampled);
  void CountScores(int scored);
  void CountCanaryFailure(const std::string& node);

 private:
  obs::Counter CanaryFailures(const std::string& node);
  obs::Gauge OtherModel(const std::string& node);

  // What is shown of a run, by name and labels.
  struct RunSeries {
    std::string run_id;
    Method method;
    std::map<std::pair<std::string, obs::Labels>, obs::Gauge> gauges;
  };
  // Made when it is new; then the oldest one of its method may go.
  RunSeries* SeriesOf(const std::string& run_id, Method method = Method::kPpo)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `labels` without the run.
  void Set(RunSeries* series, const char* name, const char* help, double value,
           obs::Labels labels = {}) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  obs::Metrics* metrics_;
  Mutex mutex_;
  std::deque<RunSeries> runs_ ABSL_GUARDED_BY(mutex_);  // the newest last
  std::string newest_run_ ABSL_GUARDED_BY(mutex_);
  // Label sets that were shown once must go to zero, not stay.
  std::map<obs::Labels, obs::Gauge> node_gauges_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, obs::Gauge> other_models_ ABSL_GUARDED_BY(mutex_);  // by node
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_ORCHESTRATOR_METRICS_H_
