#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_ORCHESTRATOR_METRICS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_ORCHESTRATOR_METRICS_H_

#include <map>
#include <optional>
#include <string>
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

  // The last committed step: mellow_ppo_*.
  void SetStep(const StepRecord& step);
  void SetRunState(RunState state);
  // Of the PPO run that is driven from now on; see RunConfig.
  void SetKlTarget(double target, bool reference_is_start);
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

  obs::Metrics* metrics_;
  Mutex mutex_;
  // Label sets that were shown once must go to zero, not stay.
  std::map<obs::Labels, obs::Gauge> node_gauges_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, obs::Gauge> other_models_ ABSL_GUARDED_BY(mutex_);  // by node
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_ORCHESTRATOR_METRICS_H_
