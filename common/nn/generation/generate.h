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
};

// Generates for all items together; each leaves the batch when it is done. For probes and
// benchmarks (the policy service has its own loop, which admits new requests while others run).
// Errors: those of SamplingParams::Validate, of the model and of any decoder.
[[nodiscard]] absl::StatusOr<std::vector<GeneratedSequence>> Generate(
    Seq2SeqModel& model, absl::Span<const GenerateItem> items);

// One step of all decoders that are not done, in one call of the model. A decoder that cannot go on
// says so in its own status() (Internal: logits that are not finite); the others do.
[[nodiscard]] absl::Status StepTogether(Seq2SeqModel& model,
                                        absl::Span<SequenceDecoder* const> decoders,
                                        std::vector<float>* logits);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_GENERATE_H_
