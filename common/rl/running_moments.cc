#include "common/rl/running_moments.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mellow::rl {

void RunningMoments::Update(absl::Span<const float> batch) {
  if (batch.empty()) return;
  const auto n = static_cast<double>(batch.size());
  double batch_mean = 0;
  for (const float x : batch) batch_mean += x;
  batch_mean /= n;
  double batch_var = 0;
  for (const float x : batch) batch_var += (x - batch_mean) * (x - batch_mean);
  batch_var /= n;

  const double delta = batch_mean - mean;
  const double total = count + n;
  const double squares = var * count + delta * delta * count * n / total + batch_var * n;
  mean += delta * n / total;
  var = squares / total;
  // One score alone has no deviation: keep the old one instead of dividing by zero.
  if (total > 1) std = std::sqrt(var * total / (total - 1));
  count = total;
}

std::vector<float> ProcessScores(absl::Span<const float> scores, const PpoConfig& config,
                                 RunningMoments* moments) {
  std::vector<float> out(scores.begin(), scores.end());
  if (config.use_score_scaling) {
    moments->Update(scores);
    const double factor = moments->std + std::numeric_limits<float>::epsilon();
    const double centre = config.use_score_norm ? moments->mean : 0.0;
    for (float& score : out) score = static_cast<float>((score - centre) / factor);
  }
  if (config.score_clip) {
    const auto bound = static_cast<float>(*config.score_clip);
    for (float& score : out) score = std::clamp(score, -bound, bound);
  }
  return out;
}

}  // namespace mellow::rl
