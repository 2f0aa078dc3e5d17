#ifndef MELLOW_COMMON_NN_CPU_GRADIENT_T5_H_
#define MELLOW_COMMON_NN_CPU_GRADIENT_T5_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/cpu/t5_weights.h"
#include "common/nn/cpu/trained_linear.h"
#include "common/nn/cpu/vocabulary_head.h"
#include "common/nn/kernels/attention.h"

namespace mellow::nn::cpu {

class GradientPass;

// T5 on our own kernels, teacher-forced, with the gradients of a LoRA adapter. Forward passes have
// the bits of CpuT5 with the same weights; gradients are the same bits for any thread count and
// instruction set. With bf16 weights the products with frozen matrices, forward and backward, round
// their inputs to bf16 as well; the adapter, attention, norms and all sums are fp32. Not
// thread-safe; outlives its passes.
class GradientT5 {
 public:
  // Bytes of W^T that are kept from the first backward pass on until ReleaseMemory. Packing it
  // costs a few hundredths of a pass over a thousand rows, and more of a shorter one; keeping that
  // of a large model would double its memory.
  static constexpr size_t kMostTransposed = size_t{1} << 30;
  // `options.weights` is fp32 or bf16. Errors as LoadSeq2SeqModel.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<GradientT5>> Load(
      const std::string& folder, const LoadOptions& options,
      size_t most_transposed = kMostTransposed);

  const T5Config& config() const { return weights_->config; }
  int64_t parameter_count() const { return weights_->parameters; }
  // What LoRA may adapt; the head is not among them.
  const std::vector<LinearShape>& modules() const { return modules_; }
  VocabularyHead& head() { return head_; }

  // Teacher-forced batches: one target for each source, all of them not empty; the decoder's
  // inputs, start token first.
  struct Batch {
    std::vector<int32_t> source_tokens, target_tokens;
    Sequences sources, targets;
  };
  // `adapter`: by module; read during the call. `dropout` may be null; it outlives the pass.
  // `gradients`: whether Backward will be called; else the pass keeps nothing but its result.
  [[nodiscard]] std::unique_ptr<GradientPass> Run(Batch batch,
                                                  absl::Span<const LoraTensors> adapter,
                                                  const DropoutMasks* dropout, bool gradients);
  // The memory of passes is kept for the next one; this lets the system have it if it needs it.
  void ReleaseMemory();

 private:
  friend class GradientPass;
  // The layers of a block, as in T5Block.
  struct Block {
    const T5Block* weights = nullptr;
    TrainedLinear self_qkv, self_o, cross_q, cross_kv, cross_o, wi, wo;
  };

  GradientT5(std::unique_ptr<CpuBackend> backend, std::unique_ptr<T5Weights> weights,
             size_t most_transposed);
  TrainedLinear Trained(const CpuLinear& linear);

  const std::unique_ptr<CpuBackend> backend_;
  const std::unique_ptr<T5Weights> weights_;
  const kernels::KvLayout layout_;
  std::vector<LinearShape> modules_;
  std::vector<Block> encoder_, decoder_;
  VocabularyHead head_;
  kernels::Arena scratch_;
  const size_t most_transposed_;
  // W^T of the first layers, and in turn that of the others.
  std::deque<kernels::PackedMatrix> transposed_;
  kernels::PackedMatrix shared_transposed_;
  size_t transposed_bytes_ = 0;
  std::vector<std::unique_ptr<kernels::Arena>> free_;  // of passes that are gone; room for all
  size_t arenas_ = 0;                                  // that were made
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_GRADIENT_T5_H_
