#ifndef MELLOW_COMMON_NN_CPU_CPU_T5_H_
#define MELLOW_COMMON_NN_CPU_CPU_T5_H_

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
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
      absl::Span<const EncodeRequest> requests) override {
    return EncodeInPieces(requests, nullptr);
  }
  absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> EncodeInPieces(
      absl::Span<const EncodeRequest> requests, const Between& between) override;
  absl::Status Step(absl::Span<DecodeRow* const> rows, absl::Span<const int32_t> tokens,
                    std::vector<float>* logits) override;
  absl::StatusOr<std::unique_ptr<DecodeRow>> Fork(const DecodeRow& row) override;
  absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const ScoreRequest> requests) override {
    return ScoreTokensInPieces(requests, nullptr);
  }
  absl::StatusOr<std::vector<std::vector<float>>> ScoreTokensInPieces(
      absl::Span<const ScoreRequest> requests, const Between& between) override;

 private:
  // One layer of that many costs about what a decoding step of a full batch does, and they are
  // enough for the products.
  static constexpr int kPieceRows = 256;

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
  // The part of one sequence that is in a piece of a batch.
  struct Part {
    int sequence;
    int first;  // row of the sequence
    int count;
  };
  // What a forward pass keeps from piece to piece.
  struct Kept {
    kernels::FloatBuffer x, projected, encoded, keys_values;
  };
  // A forward pass: its pieces, and where it keeps what it needs until its end.
  struct Pass {
    const Between& between;  // empty: one piece
    Kept* kept;
  };
  // Buffers of one piece, reused by the next.
  struct Scratch {
    kernels::FloatBuffer x, normed, projected, context, hidden, gated, keys_values, logits;
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
  static std::vector<Part> Parts(const Ragged& batch, int start, int count);
  // Calls piece(start, count) for the pieces of `rows` rows.
  template <typename Piece>
  absl::Status InPieces(const Pass& pass, int rows, const Piece& piece)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int most = pass.between == nullptr ? rows : kPieceRows;
    for (int start = 0; start < rows; start += most) {
      piece(start, std::min(most, rows - start));
      MELLOW_RETURN_IF_ERROR(Pause(pass));
    }
    return absl::OkStatus();
  }
  // Lets others have the model for a moment.
  absl::Status Pause(const Pass& pass) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The encoder's output, [rows, d_model] in kept->encoded.
  absl::Status RunEncoder(const Pass& pass, const Ragged& source)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The decoder's output before the head, teacher-forced over whole targets, in kept->x.
  absl::Status RunDecoder(const Pass& pass, const Ragged& source, const Ragged& target)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The final states become the head's input: times the scale where there is one.
  void ScaleForHead(int rows, float* x);
  absl::Status EncodePass(const Pass& pass, absl::Span<const EncodeRequest> requests,
                          absl::Span<const CpuAdapter* const> adapters,
                          std::vector<std::unique_ptr<DecodeRow>>* rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ScorePass(const Pass& pass, absl::Span<const ScoreRequest> requests,
                         absl::Span<const CpuAdapter* const> adapters,
                         std::vector<std::vector<float>>* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;
  const std::unique_ptr<CpuBackend> backend_;
  const std::unique_ptr<T5Weights> weights_;
  const kernels::KvLayout layout_;
  kernels::KvChunkPool chunks_;
  mutable Mutex mutex_;  // one piece of a forward pass at a time
  Scratch scratch_;
  Kept kept_;  // of passes of one piece
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_CPU_T5_H_
