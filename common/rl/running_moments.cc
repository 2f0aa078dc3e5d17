#include "common/rl/running_moments.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

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

bool RunningMoments::HasSpread() const {
  // The start values alone leave a deviation of about 1e-12.
  constexpr double kSmallestMean = 1e-4;
  return std > std::numeric_limits<float>::epsilon() * std::max(std::abs(mean), kSmallestMean);
}

absl::StatusOr<std::vector<float>> ProcessScores(absl::Span<const float> scores,
                                                 const PpoConfig& config, RunningMoments* moments) {
  std::vector<float> out(scores.begin(), scores.end());
  if (config.use_score_scaling) {
    moments->Update(scores);
    const bool spread = moments->HasSpread();
    if (config.trl_compat && (!spread || moments->count < 1.5)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "scores: all so far are equal, ", moments->mean,
          ", which use_score_scaling cannot scale: their deviation is 0. TRL has no meaningful "
          "answer either; without trl_compat such scores count as 0"));
    }
    const double factor = moments->std + std::numeric_limits<float>::epsilon();
    const double center = config.use_score_norm ? moments->mean : 0.0;
    for (float& score : out) score = spread ? static_cast<float>((score - center) / factor) : 0.0f;
  }
  if (config.score_clip) {
    const auto bound = static_cast<float>(*config.score_clip);
    for (float& score : out) score = std::clamp(score, -bound, bound);
  }
  return out;
}

}  // namespace mellow::rl
