#ifndef MELLOW_COMMON_NN_GENERATION_WARPERS_H_
#define MELLOW_COMMON_NN_GENERATION_WARPERS_H_

#include "absl/types/span.h"
#include "common/nn/sampling_params.h"

namespace mellow::nn {

// What sampling does to the scores that LogitsProcessors left, as the warpers of transformers 4.45
// and in their order: temperature, top-k, top-p, min-p, typical, epsilon, eta. scores:
// [vocab_size], raw logits or log-probs, at least one not -inf; what is dropped gets -inf. No
// warper leaves fewer than `min_tokens_to_keep` (from 1) of those that came.
void Warp(const SamplingParams& params, int min_tokens_to_keep, absl::Span<float> scores);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_WARPERS_H_
