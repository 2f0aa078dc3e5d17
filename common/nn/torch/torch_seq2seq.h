#ifndef MELLOW_COMMON_NN_TORCH_TORCH_SEQ2SEQ_H_
#define MELLOW_COMMON_NN_TORCH_TORCH_SEQ2SEQ_H_

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <vector>

#include "common/nn/seq2seq_model.h"
#include "common/nn/torch/kv_pool.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/torch_t5.h"
#include "common/sync/mutex.h"

namespace mellow::nn {

// T5 inference on a libtorch device. A decode step is one batch over all rows, whatever their
// lengths and adapters: caches sit in pools, rows are ordered by adapter, and LoRA is applied to
// each adapter's span.
class TorchSeq2Seq : public Seq2SeqModel {
 public:
  explicit TorchSeq2Seq(std::shared_ptr<const T5Weights> weights);

  const T5Config& config() const override { return weights_->config; }
  int64_t parameter_count() const override { return weights_->parameter_count; }
  absl::StatusOr<std::shared_ptr<const PreparedAdapter>> Prepare(
      const LoraWeights& lora) const override;
  absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> Encode(
      absl::Span<const EncodeRequest> requests) override;
  absl::Status Step(absl::Span<DecodeRow* const> rows, absl::Span<const int32_t> tokens,
                    std::vector<float>* logits) override;
  absl::StatusOr<std::unique_ptr<DecodeRow>> Fork(const DecodeRow& row) override;
  absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const ScoreRequest> requests) override;

 private:
  class Adapter;
  class Row;
  // Rows of a step that are side by side and share an adapter.
  struct Span {
    const TorchLora* lora;
    int64_t begin;
    int64_t count;
  };
  // One step's rows, ordered by adapter, as tensors on the device.
  struct StepBatch {
    std::vector<Span> spans;
    at::Tensor self_slots, cross_slots;  // [rows] int64
    at::Tensor positions;                // [rows]
    // A layer's, or one for all: [rows, heads, 1, keys], the position bias, -inf after the row's
    // position.
    std::vector<at::Tensor> self_biases;
    at::Tensor cross_bias;  // [rows, 1, 1, source]: 0, -inf after the row's source
    int64_t keys = 0;
    int64_t source = 0;
  };

  [[nodiscard]] absl::StatusOr<const TorchLora*> LoraOf(const PreparedAdapter* adapter) const;
  [[nodiscard]] absl::Status CheckIds(absl::Span<const int32_t> ids) const;
  [[nodiscard]] StepBatch MakeBatch(const std::vector<Row*>& rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // x W^T with each span's LoRA.
  [[nodiscard]] static at::Tensor Linear(const at::Tensor& x, const T5Linear& linear,
                                         const std::vector<Span>& spans);
  // softmax(q K^T + bias) V of one query per row; q: [rows, inner].
  [[nodiscard]] at::Tensor Attend(const at::Tensor& q, const at::Tensor& keys,
                                  const at::Tensor& values, const at::Tensor& bias) const;
  // The decoder's final states of the rows.
  [[nodiscard]] at::Tensor RunStep(const StepBatch& batch, const at::Tensor& tokens)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives those of the rows that have a value head the values of their states.
  void SetValues(const std::vector<Row*>& rows, const at::Tensor& hidden) const;

  std::shared_ptr<const T5Weights> weights_;
  const TorchLora no_lora_;
  mutable Mutex mutex_;  // one pass at a time
  TorchT5 model_ ABSL_GUARDED_BY(mutex_);
  StackBias decoder_bias_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<KvPool> self_pool_;
  std::shared_ptr<KvPool> cross_pool_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TORCH_SEQ2SEQ_H_
