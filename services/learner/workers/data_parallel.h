#ifndef MELLOW_SERVICES_LEARNER_WORKERS_DATA_PARALLEL_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_DATA_PARALLEL_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/obs/metrics.h"
#include "common/rl/group_work.h"
#include "services/learner/workers/gradient_peer.h"

namespace mellow::learner {

// Shares the work of a PPO step out between this learner and learner workers. A mini-batch is cut
// into nodes of its tree; each is leased, as shards of rollouts are, to whoever would end it first
// by measured speed, and the gradients are added up in the tree. A worker that dies, hangs or
// refuses costs time: its groups go to another one or are computed here, and it is left out for the
// rest of the step (after several such steps in a row for some steps more).
//
// Where both compute on the CPU the bits are the same, and a worker has to show it: its first
// answer of a run to each kind of task, and one in kCheckEvery later, are for a group that this
// learner computes too. One that differs is not asked again before it restarts; when it had passed
// before, the step fails with Aborted, to be done again from the checkpoint.
//
// Memory, beyond the trainer's: the weights, packed; of the gradients in a step one per piece, at
// most group_plan.h's kMostPieces for each node.
//
// One call at a time; calls to workers and the local work run in threads of their own, and have
// ended when a call returns.
class DataParallel : public rl::GroupSource {
 public:
  using Connect = std::function<std::shared_ptr<GradientPeer>(const WorkerNode& node)>;
  static constexpr int kCheckEvery = 64;

  // `on_cpu`: this learner computes there. `metrics` must outlive it.
  DataParallel(Connect connect, bool on_cpu, obs::Metrics* metrics);
  ~DataParallel() override;

  // The workers that there are for a step of this run. False: none of them may help.
  [[nodiscard]] bool Begin(const std::string& run_id, absl::Span<const WorkerNode> nodes);

  // Throw what `local` throws.
  [[nodiscard]] absl::StatusOr<std::vector<rl::Evaluation>> Evaluate(
      rl::LocalGroups* local, absl::Span<const rl::EvaluationTask> tasks) override;
  [[nodiscard]] absl::StatusOr<rl::GradientAnswer> Gradient(rl::LocalGroups* local,
                                                            const rl::GradientTask& task) override;

 private:
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
    int rounds[kKinds] = {};    // since it was checked
    std::set<std::string> has;  // weights, of the thread that calls it
  };
  template <typename Answer>
  class Round;

  [[nodiscard]] bool SameBits(const Worker& worker) const;
  void Drop(Worker* worker, absl::string_view why);
  void Refuse(Worker* worker, absl::string_view why);
  void Count(const char* result);

  const Connect connect_;
  const bool on_cpu_;
  obs::Metrics* const metrics_;
  obs::Gauge workers_gauge_;
  std::string run_id_;
  std::map<std::string, Worker> workers_;  // by node id
  double local_speed_[kKinds] = {};
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_DATA_PARALLEL_H_
