#ifndef MELLOW_COMMON_NN_CPU_CPU_T5_H_
#define MELLOW_COMMON_NN_CPU_CPU_T5_H_

#include <memory>
#include <string>
#include <vector>

#include "common/nn/cpu/t5_weights.h"
#include "common/nn/kernels/attention.h"
#include "common/nn/load_options.h"
#include "common/nn/seq2seq_model.h"
#include "common/sync/mutex.h"

namespace mellow::nn::cpu {

// T5 on our own kernels. Activations of a batch are [tokens of all sequences, d]: nothing is
// padded, every linear layer is one product over all tokens, attention goes by sequence and head.
// Results are the same bits for any batch and thread count.
class CpuT5 : public Seq2SeqModel {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuT5>> Load(const std::string& folder,
                                                                   const LoadOptions& options);

  const T5Config& config() const override { return weights_->config; }
  int64_t parameter_count() const override { return weights_->parameters; }
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
  // Sequences of a batch, one after the other: sequence i is rows [offsets[i], offsets[i + 1]).
  struct Ragged {
    std::vector<int> offsets = {0};
    std::vector<int32_t> tokens;
    std::vector<AdapterSpan> spans;
    std::vector<absl::Span<const int32_t>> positions;  // of each; empty: 0, 1, 2, ...

    int sequences() const { return static_cast<int>(offsets.size()) - 1; }
    int rows() const { return offsets.back(); }
    int length(int i) const { return offsets[i + 1] - offsets[i]; }
    void Append(absl::Span<const int32_t> ids, const CpuAdapter* adapter,
                absl::Span<const int32_t> where = {});
  };
  // Buffers of one forward pass, reused by the next.
  struct Scratch {
    kernels::FloatBuffer x, normed, projected, context, hidden, gated, encoded, keys_values, logits;
  };

  CpuT5(std::string folder, std::unique_ptr<CpuBackend> backend,
        std::unique_ptr<T5Weights> weights);

  absl::StatusOr<const CpuAdapter*> CheckAdapter(const PreparedAdapter* adapter) const;
  absl::Status CheckIds(absl::Span<const int32_t> ids, const char* field, size_t request) const;

  // Rows of the embedding table for `tokens`.
  void Embed(absl::Span<const int32_t> tokens, float* x) const;
  void Norm(const std::vector<float>& weight, const float* x, int rows, float* y);
  // x += wo(activation(wi(norm(x)))), in place.
  void FeedForward(const T5Block& block, int rows, absl::Span<const AdapterSpan> spans, float* x);
  // The encoder's output, [rows, d_model] in scratch_.encoded.
  const float* RunEncoder(const Ragged& source) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The decoder's output before the head, teacher-forced over whole targets.
  const float* RunDecoder(const Ragged& source, const float* encoded, const Ragged& target)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The final states become the head's input: times the scale where there is one.
  void ScaleForHead(int rows, float* x);
  void EncodePass(absl::Span<const EncodeRequest> requests,
                  absl::Span<const CpuAdapter* const> adapters,
                  std::vector<std::unique_ptr<DecodeRow>>* rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScorePass(absl::Span<const ScoreRequest> requests,
                 absl::Span<const CpuAdapter* const> adapters, std::vector<std::vector<float>>* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;
  const std::unique_ptr<CpuBackend> backend_;
  const std::unique_ptr<T5Weights> weights_;
  const kernels::KvLayout layout_;
  kernels::KvChunkPool chunks_;
  mutable Mutex mutex_;  // one forward pass at a time
  Scratch scratch_;
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_CPU_T5_H_
