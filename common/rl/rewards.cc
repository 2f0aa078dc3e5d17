#include "common/rl/rewards.h"

#include <cmath>

namespace mellow::rl {

float TokenPenalty(KlPenalty mode, float logprob, float reference_logprob) {
  const float d = logprob - reference_logprob;
  switch (mode) {
    case KlPenalty::kAbs:
      return std::abs(d);
    case KlPenalty::kMse:
      return 0.5f * d * d;
    case KlPenalty::kKl:
    case KlPenalty::kFull:
      break;
  }
  return d;
}

Rows TokenPenalties(KlPenalty mode, const Rows& logprobs, const Rows& reference) {
  Rows penalties(logprobs.size());
  for (size_t i = 0; i < logprobs.size(); ++i) {
    penalties[i].resize(logprobs[i].size());
    for (size_t t = 0; t < logprobs[i].size(); ++t)
      penalties[i][t] = TokenPenalty(mode, logprobs[i][t], reference[i][t]);
  }
  return penalties;
}

float K3(float logprob, float reference_logprob) {
  const double d = static_cast<double>(logprob) - reference_logprob;
  return static_cast<float>(std::expm1(-d) + d);
}

TokenRewards ComputeRewards(const Rows& penalties, absl::Span<const float> scores, double beta,
                            const MaskRows& mask) {
  TokenRewards out;
  out.non_score.resize(penalties.size());
  for (size_t i = 0; i < penalties.size(); ++i) {
    out.non_score[i].reserve(penalties[i].size());
    for (const float penalty : penalties[i])
      out.non_score[i].push_back(static_cast<float>(-beta * penalty));
  }
  out.rewards = out.non_score;
  for (size_t i = 0; i < penalties.size(); ++i) {
    for (size_t t = penalties[i].size(); t-- > 0;) {
      if (mask[i][t] == 0) continue;
      out.rewards[i][t] += scores[i];
      break;
    }
  }
  return out;
}

}  // namespace mellow::rl
