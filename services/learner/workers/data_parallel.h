#ifndef MELLOW_SERVICES_LEARNER_WORKERS_DATA_PARALLEL_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_DATA_PARALLEL_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/obs/metrics.h"
#include "common/rl/group_work.h"
#include "services/learner/workers/worker_pool.h"

namespace mellow::learner {

// Shares the work of a PPO step out between this learner and learner workers. A mini-batch is cut
// into nodes of its tree; each is leased, as shards of rollouts are, to whoever would end it first
// by measured speed, and the gradients are added up in the tree. A worker that dies, hangs or
// refuses costs time: its groups go to another one or are computed here, and it is left out for the
// rest of the step (after several such steps in a row for some steps more).
//
// Where both compute on the CPU the bits are the same, and a worker has to show it: its first
// answer of a run to each kind of task is for a group that this learner computes too, and after the
// last of a step whoever helped computes the beginning of one row of each kind in which it did, as
// this learner does. One that differs is not asked again before it restarts. A step that had help
// from it, or from one that cannot show anything anymore, fails with Aborted, to be done again from
// the checkpoint. What this cannot find is a fault that comes and goes within one step.
//
// Memory, beyond the trainer's: the weights, packed; of the gradients in a step one per piece, at
// most group_plan.h's kMostPieces for each node.
//
// One call at a time; calls to workers and the local work run in threads of their own, and have
// ended when a call returns.
class DataParallel : public rl::GroupSource {
 public:
  using Connect = WorkerPool::Connect;

  // `on_cpu`: this learner computes there. `metrics` must outlive it.
  DataParallel(Connect connect, bool on_cpu, obs::Metrics* metrics)
      : pool_(std::move(connect), on_cpu, metrics) {}

  // The workers that there are for a step of this run. False: none of them may help.
  [[nodiscard]] bool Begin(const std::string& run_id, absl::Span<const WorkerNode> nodes) {
    evaluated_ = {};
    trained_ = {};
    return pool_.Begin(run_id, nodes);
  }

  // Throw what `local` throws.
  [[nodiscard]] absl::StatusOr<std::vector<rl::Evaluation>> Evaluate(
      rl::LocalGroups* local, absl::Span<const rl::EvaluationTask> tasks) override;
  [[nodiscard]] absl::StatusOr<rl::GradientAnswer> Gradient(rl::LocalGroups* local,
                                                            const rl::GradientTask& task) override;
  [[nodiscard]] absl::Status Confirm(rl::LocalGroups* local) override;

 private:
  // `confirm`: as GroupRound's.
  [[nodiscard]] absl::StatusOr<std::vector<rl::Evaluation>> EvaluateIn(
      rl::LocalGroups* local, absl::Span<const rl::EvaluationTask> tasks, bool confirm);
  [[nodiscard]] absl::StatusOr<rl::GradientAnswer> GradientIn(rl::LocalGroups* local,
                                                              const rl::GradientTask& task,
                                                              bool confirm);

  WorkerPool pool_;
  // Of this step, the beginning of one row each: what the evaluations asked for together, and of
  // the last gradient.
  rl::EvaluationTask evaluated_;
  rl::GradientTask trained_;
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_DATA_PARALLEL_H_
