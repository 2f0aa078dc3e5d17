#ifndef MELLOW_COMMON_NN_GENERATION_GENERATE_H_
#define MELLOW_COMMON_NN_GENERATION_GENERATE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/generation/sequence_decoder.h"

namespace mellow::nn {

struct GenerateItem {
  std::vector<int32_t> source_ids;
  SamplingParams params;
  RandomStream stream;
  const PreparedAdapter* adapter = nullptr;
  // The ids are padded, and pads are not attended to. Ids that a tokenizer gave have none: where a
  // text spells out the pad token, transformers attends to it, and ScoreTokens and trainers do.
  bool mask_padding = false;
  const ValueHead* value_head = nullptr;  // gives the sequence values
};

// A source without its padding. transformers' generate() masks pad ids by itself where it is given
// ids without an attention mask, wherever they are, unless the pad token is an end token; what only
// holds padding stays as it is, which computes the same.
struct UnpaddedSource {
  std::vector<int32_t> ids;
  std::vector<int32_t> positions;  // as EncodeRequest::positions; empty when there are no gaps
};
[[nodiscard]] UnpaddedSource WithoutPadding(const T5Config& config,
                                            absl::Span<const int32_t> source_ids);
// What the encoder gets of a source: WithoutPadding, or all of it.
[[nodiscard]] UnpaddedSource EncodedSource(const T5Config& config,
                                           absl::Span<const int32_t> source_ids, bool mask_padding);

// Generates for all items together; each leaves the batch when it is done. For probes and
// benchmarks (the policy service has its own loop, which admits new requests while others run).
// Errors: those of SamplingParams::Validate, of SequenceDecoder::status and of the model.
[[nodiscard]] absl::StatusOr<std::vector<GeneratedSequence>> Generate(
    Seq2SeqModel& model, absl::Span<const GenerateItem> items);

// One step of all decoders that are not done, in one call of the model. A decoder that cannot go on
// says so in its own status() (Internal: logits that are not finite); the others do.
[[nodiscard]] absl::Status StepTogether(Seq2SeqModel& model,
                                        absl::Span<SequenceDecoder* const> decoders,
                                        std::vector<float>* logits);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_GENERATE_H_
