#include "common/nn/generation/token_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/base/philox.h"
#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

int32_t ArgMax(absl::Span<const float> x) {
  return static_cast<int32_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

// Below it a logit divided by the temperature may be no number anymore in fp32.
constexpr double kSmallTemperature = 1e-6;

void Scale(std::vector<float>& logits, double temperature) {
  if (temperature >= kSmallTemperature) {
    if (temperature != 1)
      kernels::Kernels().scale(static_cast<float>(1 / temperature), static_cast<int>(logits.size()),
                               logits.data());
    return;
  }
  // Relative to the largest, which changes no probability: the others become -inf at worst.
  const double top = *std::max_element(logits.begin(), logits.end());
  for (float& x : logits) x = static_cast<float>((x - top) / temperature);
}

// Keeps the k largest (and what ties with the k-th, as transformers does).
void KeepTopK(std::vector<float>& logits, int k) {
  if (k <= 0 || k >= static_cast<int>(logits.size())) return;
  std::vector<float> sorted = logits;
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<float>());
  const float threshold = sorted[k - 1];
  for (float& x : logits)
    if (x < threshold) x = kForbidden;
}

// Drops the least likely tokens whose probabilities sum to at most 1 - p.
void KeepTopP(std::vector<float>& logits, double p) {
  if (p >= 1) return;
  std::vector<float> probabilities = logits;
  kernels::Kernels().softmax(probabilities.data(), static_cast<int>(probabilities.size()));
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] < probabilities[b] : a > b;
  });
  double sum = 0;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    sum += probabilities[order[i]];
    if (sum > 1 - p) break;
    logits[order[i]] = kForbidden;
  }
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

SampledToken SampleToken(absl::Span<const float> logits, absl::Span<const float> scores,
                         const SamplingParams& params, int position, const RandomStream& stream) {
  const int n = static_cast<int>(logits.size());
  int32_t id;
  if (!params.do_sample) {
    id = ArgMax(scores);
  } else {
    std::vector<float> warped(scores.begin(), scores.end());
    Scale(warped, params.temperature);
    KeepTopK(warped, params.top_k);
    KeepTopP(warped, params.top_p);
    const PhiloxCounter counter = {static_cast<uint32_t>(position), stream.sample_index,
                                   static_cast<uint32_t>(stream.prompt_index),
                                   static_cast<uint32_t>(stream.prompt_index >> 32)};
    id = Draw(warped, PhiloxUniform(counter, {static_cast<uint32_t>(params.seed),
                                              static_cast<uint32_t>(params.seed >> 32)}));
  }
  return {id, static_cast<float>(logits[id] - kernels::Kernels().log_sum_exp(logits.data(), n))};
}

}  // namespace mellow::nn
