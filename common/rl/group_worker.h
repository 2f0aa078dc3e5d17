#ifndef MELLOW_COMMON_RL_GROUP_WORKER_H_
#define MELLOW_COMMON_RL_GROUP_WORKER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/t5_config.h"
#include "common/rl/group_work.h"
#include "common/train/trainer_options.h"

namespace mellow::rl {

// Computes groups for a trainer elsewhere, with the weights that it is given, each under a name
// that stands for its content. Keeps no other state: whatever is asked again has the same answer,
// and nothing is missing after a restart but the weights. Not thread-safe.
//
// The base model is in the precision of the last task; a task of another one loads it again and
// forgets the weights.
//
// Memory: the base model, kKept sets of weights, and for one group its activations, its gradient
// and its answer.
class GroupWorker {
 public:
  // A run's reference, and the weights of two updates.
  static constexpr size_t kKept = 3;

  // Errors: those of the model folder.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<GroupWorker>> Create(
      const std::string& model_folder, const train::TrainerOptions& options);
  ~GroupWorker();
  GroupWorker(const GroupWorker&) = delete;
  GroupWorker& operator=(const GroupWorker&) = delete;

  [[nodiscard]] const nn::T5Config& model_config() const;
  [[nodiscard]] bool Has(const std::string& name) const;
  // Keeps the weights, and forgets those that were not used for longest. InvalidArgument: they do
  // not fit the model.
  [[nodiscard]] absl::Status PutWeights(const std::string& name, const TrainedWeights& weights);

  // An empty name is the base model. Errors: those of the model folder; FailedPrecondition, with
  // the name: these weights are not here. InvalidArgument: rows without ids or of other lengths
  // than their responses, ids outside the vocabulary, values or gradients of weights without a
  // value head. Internal: the numbers of the model are not finite.
  [[nodiscard]] absl::StatusOr<Evaluation> Evaluate(const std::string& current,
                                                    const std::string& reference,
                                                    const EvaluationTask& task);
  [[nodiscard]] absl::StatusOr<GradientAnswer> Gradient(const std::string& current,
                                                        const GradientTask& task);

 private:
  class Impl;
  explicit GroupWorker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_GROUP_WORKER_H_
