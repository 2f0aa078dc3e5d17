#ifndef MELLOW_COMMON_NN_TORCH_TRAINABLE_T5_H_
#define MELLOW_COMMON_NN_TORCH_TRAINABLE_T5_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/device.h"
#include "common/nn/dropout_masks.h"
#include "common/nn/lora.h"
#include "common/nn/torch/lm_head.h"
#include "common/nn/torch/t5_weights.h"
#include "common/nn/torch/teacher_forcing.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/weight_type.h"

namespace mellow::nn {

// A T5 as the trainers use it: its weights are frozen, a LoRA adapter gets gradients. On CUDA this
// is libtorch with autograd; on the CPU our own kernels with a backward pass of their own
// (cpu::GradientT5), whose log-probs are the policy's bit for bit and whose results do not depend
// on thread count or instruction set. Tensors are on device(). Not thread-safe.
class TrainableT5 {
 public:
  virtual ~TrainableT5() = default;

  // `precision`, fp32 or bf16 (on the CPU only: Unimplemented on CUDA), of the frozen products;
  // what is trained is fp32. `threads` of the CPU's own pool; 0: all cores. Errors as
  // LoadT5Weights.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TrainableT5>> Load(
      const std::string& folder, const Device& device, int threads,
      WeightType precision = WeightType::kFloat32);
  // libtorch on any device: what the kernels are held against.
  [[nodiscard]] static std::unique_ptr<TrainableT5> OnTorch(
      const std::shared_ptr<const T5Weights>& weights);

  [[nodiscard]] virtual const T5Config& config() const = 0;
  [[nodiscard]] virtual at::Device device() const = 0;
  [[nodiscard]] virtual int64_t parameter_count() const = 0;
  // By slot of TorchLora; lm_head, which is not trained, is not among them.
  [[nodiscard]] virtual absl::Span<const LinearShape> modules() const = 0;

  // The adapter on device(). Errors as CheckBaseCopies and TorchLora::Create.
  [[nodiscard]] absl::StatusOr<TorchLora> Adapt(const LoraWeights& lora, bool trainable) const;

  // A forward pass with all that its backward pass needs; the model outlives it.
  class Pass {
   public:
    virtual ~Pass() = default;
    // The decoder's final states, [target tokens, d_model], without autograd.
    [[nodiscard]] const at::Tensor& hidden() const { return hidden_; }
    // Adds to the .grad() of the adapter's tensors, given the gradient of hidden(). Once.
    virtual void Backward(const at::Tensor& d_hidden) = 0;

   protected:
    at::Tensor hidden_;
  };
  // `lora` is trainable and outlives the pass. `dropout` may be null.
  [[nodiscard]] virtual std::unique_ptr<Pass> Forward(const TeacherForced& pairs,
                                                      const TorchLora& lora,
                                                      const DropoutOptions* dropout) = 0;
  // The same states when no backward pass will follow, without dropout.
  [[nodiscard]] virtual at::Tensor Hidden(const TeacherForced& pairs, const TorchLora& lora) = 0;

  // As in lm_head.h.
  [[nodiscard]] virtual HeadOutput ScoreTargets(const at::Tensor& hidden, const at::Tensor& targets,
                                                const HeadOptions& options) = 0;
  [[nodiscard]] virtual at::Tensor VocabularyKl(const at::Tensor& hidden,
                                                const at::Tensor& reference_hidden) = 0;

  // Lets the system have the memory that is kept between passes, if it needs it.
  virtual void ReleaseMemory() {}

 protected:
  // `folder`: that the weights were read from, if any.
  explicit TrainableT5(std::string folder) : folder_(std::move(folder)) {}

 private:
  const std::string folder_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TRAINABLE_T5_H_
