#ifndef MELLOW_COMMON_NN_GENERATION_SEQUENCE_DECODER_H_
#define MELLOW_COMMON_NN_GENERATION_SEQUENCE_DECODER_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/nn/sampling_params.h"
#include "common/nn/seq2seq_model.h"

namespace mellow::nn {

struct GeneratedSequence {
  std::vector<int32_t> ids;     // without the start token, with </s> where it was generated
  std::vector<float> logprobs;  // of the raw distribution, one per id
  FinishReason finish = FinishReason::kLength;
  // The value of the state that each id was chosen from, when the row has a value head; else, and
  // after a beam search, empty.
  std::vector<float> values = {};
};

// One request on its way through the decoder: says which rows to step with which tokens, takes
// their logits, and knows when it is done. The caller may step the rows of many decoders in one
// call of Seq2SeqModel::Step (continuous batching). One thread at a time.
class SequenceDecoder {
 public:
  virtual ~SequenceDecoder() = default;

  // Not OK: it cannot go on, and nothing but to give it up is left.
  [[nodiscard]] const absl::Status& status() const { return status_; }
  void Fail(absl::Status status) { status_ = std::move(status); }

  // Rows to step next and the token for each; both empty when done. Beam search has several.
  [[nodiscard]] virtual absl::Span<DecodeRow* const> rows() const = 0;
  [[nodiscard]] virtual absl::Span<const int32_t> tokens() const = 0;
  // logits: [rows().size(), vocab_size] of that step. Errors: those of Seq2SeqModel::Fork.
  [[nodiscard]] virtual absl::Status Advance(Seq2SeqModel& model,
                                             absl::Span<const float> logits) = 0;
  [[nodiscard]] virtual bool done() const = 0;
  // What there is so far (beam search: nothing before it is done).
  [[nodiscard]] virtual const GeneratedSequence& sequence() const = 0;

 private:
  absl::Status status_;
};

// Greedy search, sampling or beam search (which may sample), as `params` (valid) say; `row` is
// fresh from Encode of `source_ids` (with their padding). `config` outlives it.
[[nodiscard]] std::unique_ptr<SequenceDecoder> MakeSequenceDecoder(
    const T5Config& config, const SamplingParams& params, const RandomStream& stream,
    absl::Span<const int32_t> source_ids, std::unique_ptr<DecodeRow> row);

// What a decoder of either kind says when the settings leave no token after `position` ones.
[[nodiscard]] absl::Status NothingAllowed(size_t position);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_SEQUENCE_DECODER_H_
