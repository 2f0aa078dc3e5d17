#include "common/nn/generation/warpers.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

// Below it a logit divided by the temperature may be no number anymore in fp32.
constexpr double kSmallTemperature = kMinBeamTemperature;

void Scale(double temperature, absl::Span<float> scores) {
  if (temperature >= kSmallTemperature) {
    if (temperature != 1)
      kernels::Kernels().scale(static_cast<float>(1 / temperature), static_cast<int>(scores.size()),
                               scores.data());
    return;
  }
  // Relative to the largest, which changes no probability: the others become -inf at worst.
  const double top = *std::max_element(scores.begin(), scores.end());
  for (float& x : scores) x = static_cast<float>((x - top) / temperature);
}

std::vector<float> Probabilities(absl::Span<const float> scores) {
  std::vector<float> p(scores.begin(), scores.end());
  kernels::Kernels().softmax(p.data(), static_cast<int>(p.size()));
  return p;
}

// In nats, of the distribution that the probabilities are.
double Entropy(absl::Span<const float> probabilities) {
  double sum = 0;
  for (const float p : probabilities)
    if (p > 0) sum -= p * std::log(static_cast<double>(p));
  return sum;
}

// The k-th largest, k from 1.
float KthLargest(absl::Span<const float> scores, int k) {
  std::vector<float> sorted(scores.begin(), scores.end());
  const auto kth = sorted.begin() + std::min(k, static_cast<int>(sorted.size())) - 1;
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<float>());
  return *kth;
}

// Keeps the k largest (and what ties with the k-th, as transformers does).
void KeepTopK(int k, absl::Span<float> scores) {
  if (k >= static_cast<int>(scores.size())) return;
  const float threshold = KthLargest(scores, k);
  for (float& x : scores)
    if (x < threshold) x = kRemoved;
}

// Drops the least likely tokens whose probabilities sum to at most 1 - p, but for the `keep`
// likeliest.
void KeepTopP(double p, int keep, absl::Span<float> scores) {
  const std::vector<float> probabilities = Probabilities(scores);
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] < probabilities[b] : a > b;
  });
  double sum = 0;
  for (size_t i = 0; i + static_cast<size_t>(keep) < order.size(); ++i) {
    sum += probabilities[order[i]];
    if (sum > 1 - p) break;
    scores[order[i]] = kRemoved;
  }
}

// Drops what is less likely than `least`, but for the `keep` largest and what ties with them.
void KeepLikely(absl::Span<const float> probabilities, double least, int keep,
                absl::Span<float> scores) {
  const float threshold = KthLargest(scores, keep);
  for (size_t i = 0; i < scores.size(); ++i)
    if (probabilities[i] < static_cast<float>(least) && scores[i] < threshold) scores[i] = kRemoved;
}

// Keeps the tokens whose surprise is nearest to the entropy, as many as reach `mass`, and what is
// as near as the last of them; `keep` at least.
void KeepTypical(double mass, int keep, absl::Span<float> scores) {
  const std::vector<float> probabilities = Probabilities(scores);
  const double entropy = Entropy(probabilities);
  const double lse = kernels::Kernels().log_sum_exp(scores.data(), static_cast<int>(scores.size()));
  std::vector<float> distance(scores.size());
  for (size_t i = 0; i < scores.size(); ++i)
    distance[i] = static_cast<float>(std::abs(lse - scores[i] - entropy));
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return distance[a] != distance[b] ? distance[a] < distance[b] : a < b;
  });
  double sum = 0;
  size_t last = 0;
  for (; last + 1 < order.size(); ++last) {
    sum += probabilities[order[last]];
    if (sum >= mass) break;
  }
  const float farthest = distance[order[last]];
  for (size_t i = static_cast<size_t>(keep); i < order.size(); ++i)
    if (distance[order[i]] > farthest) scores[order[i]] = kRemoved;
}

void Cut(const LogitsRules& rules, int keep, absl::Span<float> scores) {
  if (rules.min_p > 0) {
    const std::vector<float> p = Probabilities(scores);
    KeepLikely(p, rules.min_p * *std::max_element(p.begin(), p.end()), keep, scores);
  }
  if (rules.typical_p < 1) KeepTypical(rules.typical_p, keep, scores);
  if (rules.epsilon_cutoff > 0)
    KeepLikely(Probabilities(scores), rules.epsilon_cutoff, keep, scores);
  if (rules.eta_cutoff > 0) {
    const std::vector<float> p = Probabilities(scores);
    KeepLikely(p, std::min(rules.eta_cutoff, std::sqrt(rules.eta_cutoff) * std::exp(-Entropy(p))),
               keep, scores);
  }
}

}  // namespace

void Warp(const SamplingParams& params, int min_tokens_to_keep, absl::Span<float> scores) {
  Scale(params.temperature, scores);
  if (params.top_k > 0) KeepTopK(std::max(params.top_k, min_tokens_to_keep), scores);
  if (params.top_p < 1) KeepTopP(params.top_p, min_tokens_to_keep, scores);
  if (params.rules != nullptr) Cut(*params.rules, min_tokens_to_keep, scores);
}

}  // namespace mellow::nn
