#ifndef MELLOW_COMMON_NN_SEQ2SEQ_MODEL_H_
#define MELLOW_COMMON_NN_SEQ2SEQ_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/t5_config.h"
#include "common/nn/value_head.h"

namespace mellow::nn {

struct LoraWeights;

// A LoRA adapter prepared (packed, moved to the device) by the model that will use it. Immutable,
// thread-safe.
class PreparedAdapter {
 public:
  virtual ~PreparedAdapter() = default;
};

// Decode state of one sequence: its encoder output's cross-attention keys and values (shared by
// forks), its own self-attention cache. Belongs to one request; used by one thread at a time.
class DecodeRow {
 public:
  virtual ~DecodeRow() = default;
  // Tokens fed so far, the start token included.
  [[nodiscard]] virtual int position() const = 0;
  // The value of the state that predicts the next token, by EncodeRequest::value_head; none without
  // one, and before the first Step.
  [[nodiscard]] std::optional<float> value() const { return value_; }
  void set_value(float value) { value_ = value; }  // by the model

 private:
  std::optional<float> value_;
};

struct EncodeRequest {
  absl::Span<const int32_t> source_ids;      // with </s>; not empty
  const PreparedAdapter* adapter = nullptr;  // null: the base model; must outlive the row
  int max_target_tokens = 0;                 // most calls of Step this row will see
  // Where each id stands, rising from 0; empty: at 0, 1, 2, ... With gaps where padding was left
  // out.
  absl::Span<const int32_t> positions = {};
  const ValueHead* value_head = nullptr;  // gives the row values; must outlive it
};

// Whether the request's value head, if any, is of the model's width.
[[nodiscard]] inline bool FitsValueHead(const EncodeRequest& request, const T5Config& config) {
  return request.value_head == nullptr ||
         static_cast<int64_t>(request.value_head->weight.size()) == config.d_model;
}

// Whether `positions` are as EncodeRequest says.
[[nodiscard]] inline bool ArePositions(const EncodeRequest& request) {
  const absl::Span<const int32_t> p = request.positions;
  if (p.empty()) return true;
  return p.size() == request.source_ids.size() && p[0] >= 0 &&
         std::adjacent_find(p.begin(), p.end(), std::greater_equal<>()) == p.end();
}

struct ScoreRequest {
  absl::Span<const int32_t> source_ids;
  absl::Span<const int32_t> target_ids;  // without the start token; may be empty
  const PreparedAdapter* adapter = nullptr;
};

// An encoder-decoder with frozen weights (T5). Rows are independent: a row's numbers do not depend
// on which rows are computed with it (bit for bit on the CPU backend), and rows may carry different
// adapters. Thread-safe: concurrent calls take turns. Errors: InvalidArgument for ids outside the
// vocabulary, empty sources, or a value head of another width.
class Seq2SeqModel {
 public:
  virtual ~Seq2SeqModel() = default;

  [[nodiscard]] virtual const T5Config& config() const = 0;
  [[nodiscard]] virtual int64_t parameter_count() const = 0;

  // InvalidArgument when a module of the adapter does not exist in this model or has another shape
  // (all named).
  [[nodiscard]] virtual absl::StatusOr<std::shared_ptr<const PreparedAdapter>> Prepare(
      const LoraWeights& lora) const = 0;

  // Runs the encoder once and returns one decode row per request, in order.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> Encode(
      absl::Span<const EncodeRequest> requests) = 0;

  // The same, in pieces of at most a few hundred tokens and one layer where the backend can (the
  // CPU's; the others do all at once). `between` is called after every piece, in this thread, and
  // may call the model meanwhile; what it returns other than OK ends the work and is the result.
  using Between = std::function<absl::Status()>;
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> EncodeInPieces(
      absl::Span<const EncodeRequest> requests, const Between& between) {
    (void)between;
    return Encode(requests);
  }

  // Feeds tokens[i] to rows[i] (first the decoder start token) and resizes *logits to [rows,
  // vocab_size]: fp32 raw logits of the next token.
  [[nodiscard]] virtual absl::Status Step(absl::Span<DecodeRow* const> rows,
                                          absl::Span<const int32_t> tokens,
                                          std::vector<float>* logits) = 0;

  // A copy of the row that can go another way (beam search); shares the encoder's part.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<DecodeRow>> Fork(const DecodeRow& row) = 0;

  // Teacher-forced: out[i][t] = log p(target_ids[t] | source, target_ids[:t]) of the raw
  // distribution. Internal: one of them is not finite.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const ScoreRequest> requests) = 0;
  // The same as EncodeInPieces does it.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::vector<float>>> ScoreTokensInPieces(
      absl::Span<const ScoreRequest> requests, const Between& between) {
    (void)between;
    return ScoreTokens(requests);
  }
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_SEQ2SEQ_MODEL_H_
