#ifndef MELLOW_COMMON_NN_GENERATION_TOKEN_SAMPLER_H_
#define MELLOW_COMMON_NN_GENERATION_TOKEN_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/generation/sampling_params.h"

namespace mellow::nn {

struct SampledToken {
  int32_t id = 0;
  float logprob = 0;  // of the raw distribution: no temperature, no top-k, no forbidden </s>
};

// Chooses the token after `position` generated ones from its raw logits. A pure function of its
// arguments. Greedy: the largest logit, the lowest id among equals. Sampling: transformers' order
// of warpers (minimum length, temperature, top-k, top-p), then the inverse of the cumulative
// distribution in id order at Philox(seed; position, sample_index, prompt_index). Precondition:
// params are valid, logits not empty.
[[nodiscard]] SampledToken SampleToken(absl::Span<const float> logits, const SamplingParams& params,
                                       int32_t eos_id, int position, const RandomStream& stream);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_TOKEN_SAMPLER_H_
