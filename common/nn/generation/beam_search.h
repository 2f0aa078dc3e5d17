#ifndef MELLOW_COMMON_NN_GENERATION_BEAM_SEARCH_H_
#define MELLOW_COMMON_NN_GENERATION_BEAM_SEARCH_H_

#include <memory>

#include "common/nn/generation/sequence_decoder.h"

namespace mellow::nn {

// Beam search with the hypotheses, scores and stopping rule of transformers 4.45
// (BeamSearchScorer): a finished hypothesis scores sum(log p) / length^length_penalty; done when no
// running beam can beat the worst of num_beams finished ones, as EarlyStopping says. Scores are
// sums of log-probs after the LogitsProcessors. With do_sample the candidates of a step are drawn
// without replacement by the softmax of those sums, after Warp, instead of being the best; which
// ones follows from seed, stream and position alone. Where the model has several end tokens, a
// sequence that any of them ended ends with the first of the list.
[[nodiscard]] std::unique_ptr<SequenceDecoder> MakeBeamSearch(const T5Config& config,
                                                              const SamplingParams& params,
                                                              const RandomStream& stream,
                                                              absl::Span<const int32_t> source_ids,
                                                              std::unique_ptr<DecodeRow> row);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_BEAM_SEARCH_H_
