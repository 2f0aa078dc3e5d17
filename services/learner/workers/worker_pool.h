#ifndef MELLOW_SERVICES_LEARNER_WORKERS_WORKER_POOL_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_WORKER_POOL_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/obs/metrics.h"
#include "services/learner/workers/gradient_peer.h"

namespace mellow::learner {

// The learner workers, and what this learner knows of them: who may help in a step, how fast they
// are, and whether their numbers are this learner's. Belongs to one thread, but for what is said
// of `has`.
class WorkerPool {
 public:
  using Connect = std::function<std::shared_ptr<GradientPeer>(const WorkerNode& node)>;
  enum Kind { kEvaluation, kGradient, kKinds };
  struct Worker {
    WorkerNode node;
    std::shared_ptr<GradientPeer> peer;
    bool usable = false;        // in this step
    bool failed = false;        // in this step
    int failures = 0;           // steps in a row
    int rest = 0;               // steps that it is left out
    std::string refused;        // why it is not asked before it restarts
    double speed[kKinds] = {};  // tokens per second; 0: not measured
    bool checked[kKinds] = {};  // in this run
    bool helped[kKinds] = {};   // in this step: an answer of its counts
    std::set<std::string> has;  // weights, of the thread that calls it
  };

  // `on_cpu`: this learner computes there. `metrics` must outlive it.
  WorkerPool(Connect connect, bool on_cpu, obs::Metrics* metrics);

  // The workers that there are for a step of this run. False: none of them may help.
  [[nodiscard]] bool Begin(const std::string& run_id, absl::Span<const WorkerNode> nodes);

  // Its numbers would be this learner's to the bit, and it has to show it before it helps.
  [[nodiscard]] bool NeedsCheck(const Worker& worker, Kind kind) const;
  // The same, after it has helped.
  [[nodiscard]] bool NeedsConfirmation(const Worker& worker, Kind kind) const;
  [[nodiscard]] bool NeedsConfirmation(Kind kind) const;  // any of them
  // Leaves it out for the rest of the step.
  void Drop(Worker* worker, absl::string_view why);
  // Leaves it out until it restarts.
  void Refuse(Worker* worker, absl::string_view why);
  // A group that went to a worker, by outcome.
  void Count(const char* result);

  [[nodiscard]] std::map<std::string, Worker>& workers() { return workers_; }  // by node id
  // Tokens per second of this learner itself; 0: not measured.
  [[nodiscard]] double* local_speed(Kind kind) { return &local_speed_[kind]; }

 private:
  bool SameBits(const Worker& worker) const;

  const Connect connect_;
  const bool on_cpu_;
  obs::Metrics* const metrics_;
  obs::Gauge workers_gauge_;
  std::string run_id_;
  std::map<std::string, Worker> workers_;
  double local_speed_[kKinds] = {};
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_WORKER_POOL_H_
