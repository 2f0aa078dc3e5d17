#ifndef MELLOW_COMMON_NN_GENERATION_TOKEN_SAMPLER_H_
#define MELLOW_COMMON_NN_GENERATION_TOKEN_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/base/philox.h"
#include "common/nn/sampling_params.h"

namespace mellow::nn {

struct SampledToken {
  int32_t id = 0;
  float logprob = 0;  // of the raw distribution: no processors, no temperature, no top-k
};

// Where Philox draws for the token after `position` generated ones.
[[nodiscard]] PhiloxCounter CounterOf(const RandomStream& stream, int position);
[[nodiscard]] PhiloxKey KeyOf(uint64_t seed);

// Chooses the token after `position` generated ones. `scores`: its raw logits as LogitsProcessors
// left them, at least one not -inf; where they changed nothing, `logits` itself. A pure function of
// its arguments. Greedy: the largest score, the lowest id among equals. Sampling: Warp, then the
// inverse of the cumulative distribution in id order at Philox's number. Precondition: params are
// valid, logits not empty.
[[nodiscard]] SampledToken SampleToken(absl::Span<const float> logits,
                                       absl::Span<const float> scores, const SamplingParams& params,
                                       int position, const RandomStream& stream);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_TOKEN_SAMPLER_H_
