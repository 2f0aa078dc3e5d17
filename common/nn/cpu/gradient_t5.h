#ifndef MELLOW_COMMON_NN_CPU_GRADIENT_T5_H_
#define MELLOW_COMMON_NN_CPU_GRADIENT_T5_H_

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
  // `options.weights` is fp32 or bf16. Errors as LoadSeq2SeqModel.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<GradientT5>> Load(const std::string& folder,
                                                                        const LoadOptions& options);

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

  GradientT5(std::unique_ptr<CpuBackend> backend, std::unique_ptr<T5Weights> weights);
  TrainedLinear Trained(const CpuLinear& linear);

  const std::unique_ptr<CpuBackend> backend_;
  const std::unique_ptr<T5Weights> weights_;
  const kernels::KvLayout layout_;
  std::vector<LinearShape> modules_;
  std::vector<Block> encoder_, decoder_;
  VocabularyHead head_;
  kernels::Arena scratch_;
  kernels::PackedMatrix transposed_;                   // of one layer
  std::vector<std::unique_ptr<kernels::Arena>> free_;  // of passes that are gone; room for all
  size_t arenas_ = 0;                                  // that were made
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_GRADIENT_T5_H_
