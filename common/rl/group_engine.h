#ifndef MELLOW_COMMON_RL_GROUP_ENGINE_H_
#define MELLOW_COMMON_RL_GROUP_ENGINE_H_

// The work of group_work.h on a model: the same code for the trainer and for a worker of it. Throws
// what ATen throws.

#include <ATen/ATen.h>

#include <memory>

#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/rl/group_work.h"

namespace mellow::rl {

// On the model's device; shared with whoever trains them.
struct DeviceWeights {
  nn::TorchLora policy;     // trainable
  at::Tensor value_weight;  // [d_model]; undefined: no value head
  at::Tensor value_bias;    // [1]
};

// The training forward of an evaluation, for the update of the same rows with the same weights.
struct KeptForward {
  std::unique_ptr<nn::TrainableT5::Pass> pass;
  nn::HeadOutput head;
};

// `reference` is read only for what needs it. `keep`, if not null, gets the forward pass of the
// current weights.
[[nodiscard]] Evaluation EvaluateGroup(nn::TrainableT5* model, const DeviceWeights& weights,
                                       const nn::TorchLora& reference, const EvaluationTask& task,
                                       KeptForward* keep = nullptr);

// `kept`: of the same rows and weights, or empty. The .grad() of the weights are undefined before
// and after.
[[nodiscard]] GradientAnswer ComputeGradient(nn::TrainableT5* model, const DeviceWeights& weights,
                                             const GradientTask& task, KeptForward kept = {});

// A worker's copy, and back. Errors as TrainableT5::Adapt; InvalidArgument: a value head of another
// width.
[[nodiscard]] absl::StatusOr<DeviceWeights> ToDevice(const nn::TrainableT5& model,
                                                     const TrainedWeights& weights);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_GROUP_ENGINE_H_
