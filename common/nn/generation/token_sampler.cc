#include "common/nn/generation/token_sampler.h"

#include <algorithm>

#include "common/nn/generation/warpers.h"
#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn {
namespace {

int32_t ArgMax(absl::Span<const float> x) {
  return static_cast<int32_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

int32_t Draw(std::vector<float>& logits, double uniform) {
  kernels::Kernels().softmax(logits.data(), static_cast<int>(logits.size()));
  double total = 0;
  for (float p : logits) total += p;
  const double target = uniform * total;
  double sum = 0;
  int32_t last = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == 0) continue;
    sum += logits[i];
    last = static_cast<int32_t>(i);
    if (sum > target) return last;
  }
  return last;  // uniform was so close to 1 that rounding swallowed the difference
}

}  // namespace

PhiloxCounter CounterOf(const RandomStream& stream, int position) {
  return {static_cast<uint32_t>(position), stream.sample_index,
          static_cast<uint32_t>(stream.prompt_index),
          static_cast<uint32_t>(stream.prompt_index >> 32)};
}

PhiloxKey KeyOf(uint64_t seed) {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
}

SampledToken SampleToken(absl::Span<const float> logits, absl::Span<const float> scores,
                         const SamplingParams& params, int position, const RandomStream& stream) {
  const int n = static_cast<int>(logits.size());
  int32_t id;
  if (!params.do_sample) {
    id = ArgMax(scores);
  } else {
    std::vector<float> warped(scores.begin(), scores.end());
    Warp(params, /*min_tokens_to_keep=*/1, absl::MakeSpan(warped));
    id = Draw(warped, PhiloxUniform(CounterOf(stream, position), KeyOf(params.seed)));
  }
  return {id, static_cast<float>(logits[id] - kernels::Kernels().log_sum_exp(logits.data(), n))};
}

}  // namespace mellow::nn
