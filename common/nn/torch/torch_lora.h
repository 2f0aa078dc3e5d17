#ifndef MELLOW_COMMON_NN_TORCH_TORCH_LORA_H_
#define MELLOW_COMMON_NN_TORCH_TORCH_LORA_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/lora.h"
#include "common/nn/torch/t5_weights.h"

namespace mellow::nn {

// A LoRA adapter on a device, laid out by the model's slots.
class TorchLora {
 public:
  struct Pair {
    at::Tensor a;  // [r, in] fp32; undefined where the module is not adapted
    at::Tensor b;  // [out, r]
    double scaling = 0;
  };

  // The adapter that adapts nothing.
  explicit TorchLora(absl::Span<const LinearShape> modules) : pairs_(modules.size()) {}
  explicit TorchLora(const T5Weights& model) : pairs_(model.modules.size() + 1) {}  // and lm_head

  // `modules`: the model's, by slot. InvalidArgument naming every module that the model lacks or
  // that has another shape there. `trainable` makes A and B leaves that require gradients; lm_head,
  // whose gradients are not implemented, is refused then.
  [[nodiscard]] static absl::StatusOr<TorchLora> Create(absl::Span<const LinearShape> modules,
                                                        at::Device device, const LoraWeights& lora,
                                                        bool trainable);
  // With lm_head, where the model has its slot; errors also as CheckBaseCopies.
  [[nodiscard]] static absl::StatusOr<TorchLora> Create(const T5Weights& model,
                                                        const LoraWeights& lora, bool trainable);

  [[nodiscard]] const Pair& pair(int slot) const { return pairs_[static_cast<size_t>(slot)]; }
  [[nodiscard]] const LoraConfig& config() const { return config_; }

  // The adapted modules in name order with their tensors (shared, not copied).
  struct Named {
    std::string module;
    at::Tensor a;
    at::Tensor b;
  };
  [[nodiscard]] const std::vector<Named>& parameters() const { return named_; }
  // A copy in host memory.
  [[nodiscard]] LoraWeights ToHost() const;

 private:
  LoraConfig config_;
  std::vector<Pair> pairs_;
  std::vector<Named> named_;
};

// Fresh weights as PEFT initializes them: A uniform in +-1 / sqrt(in) (kaiming_uniform with a =
// sqrt(5)), B zero. Counter-based: a module's numbers depend on the seed, its name and the
// position, on nothing else. InvalidArgument when a target names no module of the model.
[[nodiscard]] absl::StatusOr<LoraWeights> FreshLora(absl::Span<const LinearShape> modules,
                                                    const LoraConfig& config, uint64_t seed);
[[nodiscard]] inline absl::StatusOr<LoraWeights> FreshLora(const T5Weights& model,
                                                           const LoraConfig& config,
                                                           uint64_t seed) {
  return FreshLora(model.modules, config, seed);
}

// True when PEFT's target_modules entry chooses this module: equal, or equal to its last name
// parts.
[[nodiscard]] bool MatchesTarget(const std::string& module, const std::string& target);

// n numbers uniform in [-bound, bound), counter-based by seed and name.
[[nodiscard]] std::vector<float> UniformWeights(uint64_t seed, const std::string& name, int64_t n,
                                                double bound);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TORCH_LORA_H_
