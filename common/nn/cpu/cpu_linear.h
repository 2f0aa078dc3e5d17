#ifndef MELLOW_COMMON_NN_CPU_CPU_LINEAR_H_
#define MELLOW_COMMON_NN_CPU_CPU_LINEAR_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/activation.h"
#include "common/nn/kernels/packed_matrix.h"
#include "common/nn/load_options.h"
#include "common/nn/seq2seq_model.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn::cpu {

[[nodiscard]] kernels::Activation ToKernel(Activation activation);

// What a layer needs to compute: the instruction set and threads of the model's own. One for all
// layers of a pass; a model whose passes go on side by side has several.
struct CpuBackend {
  const kernels::KernelTable& kernels;
  kernels::PanelFormat format;
  ThreadPool pool;

  CpuBackend(const LoadOptions& options);

  // Calls body(start, count) for ranges that cover [0, rows), in parallel when that is worth it.
  void ForRows(int rows, const std::function<void(int, int)>& body);
};

// A linear layer of the checkpoint: "encoder.block.0.layer.0.SelfAttention.q" with its output
// columns in a fused matrix.
struct LinearPart {
  std::string module;
  int column = 0;
  int out = 0;
};

// Several linear layers of one input, packed as one matrix. Immutable.
class CpuLinear {
 public:
  CpuLinear() = default;
  // Takes <module>.weight [outs[i], in] (and .bias) of every module from the reader; problems are
  // noted there.
  CpuLinear(CpuBackend* backend, TensorReader* reader, const std::vector<std::string>& modules,
            const std::vector<int>& outs, int in, bool bias);

  // Adapters know the layer, which has one part, by this name and not by its tensor's.
  void set_module(const std::string& module) { parts_.at(0).module = module; }

  int in() const { return matrix_.in(); }
  int out() const { return matrix_.out(); }
  int64_t parameters() const { return int64_t{in()} * out() + static_cast<int64_t>(bias_.size()); }
  const std::vector<LinearPart>& parts() const { return parts_; }
  const kernels::PackedMatrix& matrix() const { return matrix_; }
  const float* bias() const { return bias_.empty() ? nullptr : bias_.data(); }

 private:
  std::vector<LinearPart> parts_;
  kernels::PackedMatrix matrix_;
  std::vector<float> bias_;
};

// The LoRA pairs of one CpuLinear: the A's of all its adapted parts as one matrix, a B for each.
struct LoraLinear {
  struct Out {
    kernels::PackedMatrix b;  // [out, r]
    int rank_offset = 0;      // of its r columns in a's output
    int column = 0;           // of its output
    float scaling = 1;
  };
  kernels::PackedMatrix a;  // [sum of r, in]
  std::vector<Out> outs;
};

class CpuAdapter : public PreparedAdapter {
 public:
  // InvalidArgument naming every module that is not in `linears` or has another shape.
  static absl::StatusOr<std::shared_ptr<const CpuAdapter>> Create(
      CpuBackend* backend, absl::Span<const CpuLinear* const> linears, const LoraWeights& lora);
  // Null when the adapter does not touch it.
  const LoraLinear* Find(const CpuLinear* linear) const {
    const auto it = linears_.find(linear);
    return it == linears_.end() ? nullptr : it->second.get();
  }
  // To refuse an adapter that another model prepared.
  const CpuBackend* backend() const { return backend_; }

 private:
  const CpuBackend* backend_ = nullptr;
  std::map<const CpuLinear*, std::unique_ptr<LoraLinear>> linears_;
};

// Rows [start, start + count) of a batch use `adapter` (null: none).
struct AdapterSpan {
  int start = 0;
  int count = 0;
  const CpuAdapter* adapter = nullptr;
};

// Appends `count` rows of `adapter`, joining them to the last span when it is the same.
void AppendSpan(const CpuAdapter* adapter, int count, std::vector<AdapterSpan>* spans);

// The part of `spans` within rows [start, start + count), counted from `start`.
[[nodiscard]] std::vector<AdapterSpan> Slice(absl::Span<const AdapterSpan> spans, int start,
                                             int count);

// y (+)= x W^T (+ bias) + the LoRA terms. spans cover all rows.
void ApplyLinear(CpuBackend* backend, const CpuLinear& linear, kernels::ConstRows x, int rows,
                 absl::Span<const AdapterSpan> spans, kernels::Rows y, bool accumulate = false);

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_CPU_LINEAR_H_
