#ifndef MELLOW_COMMON_NN_CPU_TRAINED_LINEAR_H_
#define MELLOW_COMMON_NN_CPU_TRAINED_LINEAR_H_

// Linear layers with gradients: y = x W^T + s (drop(x) A^T) B^T with W frozen, A and B trained.

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/cpu/cpu_linear.h"
#include "common/nn/dropout_masks.h"
#include "common/nn/kernels/arena.h"
#include "common/nn/linear_shape.h"

namespace mellow::nn::cpu {

// The tensors of one adapted module; `a` is null where the module is not adapted. Not owned.
struct LoraTensors {
  const float* a = nullptr;  // [r, in]
  const float* b = nullptr;  // [out, r]
  int r = 0;
  float scaling = 1;
};
struct LoraGradients {
  float* a = nullptr;
  float* b = nullptr;
};

// A frozen linear layer (several fused). Its parts are the model's modules from first_module on.
// Nothing is owned.
struct TrainedLinear {
  const CpuLinear* linear = nullptr;
  size_t first_module = 0;
  // For W^T, which dy W needs: the layer's own, which keeps it from one backward pass to the next,
  // or one that all such layers pack theirs into in turn.
  kernels::PackedMatrix* transposed = nullptr;
  bool keeps_transposed = false;

  int out() const { return linear->out(); }
  int in() const { return linear->in(); }
};

// The pairs of an adapter, packed for forward passes and, if `gradients`, for backward passes.
class PackedLora {
 public:
  struct Pair {
    int r = 0;
    float scaling = 1;
    kernels::PackedMatrix a, b;                        // [r, in], [out, r]
    kernels::PackedMatrix a_transposed, b_transposed;  // [in, r], [r, out]
  };
  PackedLora(CpuBackend* backend, absl::Span<const LinearShape> modules,
             absl::Span<const LoraTensors> tensors, bool gradients);

  // Null where the module is not adapted.
  const Pair* pair(size_t module) const {
    return pairs_[module].has_value() ? &*pairs_[module] : nullptr;
  }
  bool Adapts(const TrainedLinear& linear) const;

 private:
  std::vector<std::optional<Pair>> pairs_;  // by module
};

// Sequences one after the other, without padding: sequence i is rows [offsets[i], offsets[i + 1]).
struct Sequences {
  std::vector<int> offsets = {0};

  int count() const { return static_cast<int>(offsets.size()) - 1; }
  int rows() const { return offsets.back(); }
  int length(int i) const { return offsets[i + 1] - offsets[i]; }
};

// What all layers of one pass share. Pointers are not owned.
struct PassContext {
  CpuBackend* backend = nullptr;
  const PackedLora* lora = nullptr;
  const DropoutMasks* dropout = nullptr;  // null: nothing is dropped
  uint32_t next_place = 0;                // of dropout
  kernels::Arena* scratch = nullptr;
  kernels::Arena* kept = nullptr;  // until the backward pass; `scratch` when there is none

  double model_rate() const { return dropout == nullptr ? 0 : dropout->options().model_rate; }
  double lora_rate() const { return dropout == nullptr ? 0 : dropout->options().lora_rate; }
  // The next place in the network where something is dropped at this rate.
  uint32_t NextPlace(double rate) { return rate > 0 ? next_place++ : next_place; }
  // Drops elements of x [rows, width].
  void Drop(double rate, uint32_t place, const Sequences& rows, int width, float* x) const;
};

// What the backward pass of a linear layer needs from its forward pass, for each adapted part.
struct LinearTape {
  struct Part {
    const float* t = nullptr;  // s drop(x) A^T, [rows, r]
    uint32_t place = 0;        // of its dropout
  };
  std::vector<Part> parts;
};

// y (+)= the layer of x, with the bits of ApplyLinear. Contents of the tape are taken from
// context->kept.
void Forward(PassContext* context, const TrainedLinear& layer, kernels::ConstRows x,
             const Sequences& sequences, kernels::Rows y, bool accumulate, LinearTape* tape);

// dx (+)= the gradient of x, given that of y; nothing when dx.data is null. Adds to those of the
// adapted parts, by module. x, the layer's input, is read only when the layer is adapted.
struct LinearGradients {
  kernels::ConstRows x;
  kernels::ConstRows dy;
  kernels::Rows dx;
  bool accumulate = false;  // into dx
};
void Backward(PassContext* context, const TrainedLinear& layer, const Sequences& sequences,
              const LinearTape& tape, const LinearGradients& args,
              absl::Span<const LoraGradients> gradients);

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_TRAINED_LINEAR_H_
