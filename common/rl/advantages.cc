#include "common/rl/advantages.h"

#include <cmath>

#include "common/rl/masked.h"

namespace mellow::rl {
namespace {

Rows Select(const Rows& x, const MaskRows& mask) {
  Rows y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i].assign(x[i].size(), 0.0f);
    for (size_t t = 0; t < x[i].size(); ++t) {
      if (mask[i][t] != 0) y[i][t] = x[i][t];
    }
  }
  return y;
}

// What whitening with the mean kept makes of a masked zero: mu * (1 - 1 / sigma).
double WhitenedZero(const Rows& rewards, const MaskRows& mask) {
  if (CountMask(mask) < 2) return 0;
  const double mean = MaskedMean(rewards, mask);
  return mean - mean / std::sqrt(MaskedVariance(rewards, mask) + 1e-8);
}

}  // namespace

Advantages ComputeAdvantages(const Rows& values, const Rows& rewards, const MaskRows& mask,
                             const AdvantageOptions& options) {
  Advantages out;
  out.values = Select(values, mask);
  Rows r = Select(rewards, mask);
  double phantom = 0;
  if (options.whiten_rewards) {
    if (options.whitened_padding) phantom = WhitenedZero(r, mask);
    r = Whiten(r, mask, /*keep_mean=*/true);
  }

  const double decay = options.gamma * options.lam;
  Rows raw(r.size());
  out.returns.resize(r.size());
  for (size_t i = 0; i < r.size(); ++i) {
    const size_t length = r[i].size();
    raw[i].resize(length);
    out.returns[i].resize(length);
    double advantage = 0;
    if (options.whitened_padding) {
      for (auto t = options.padded_width; t > static_cast<int64_t>(length); --t)
        advantage = phantom + decay * advantage;
    }
    double next_value = 0;
    for (size_t t = length; t-- > 0;) {
      const double value = out.values[i][t];
      const double reward = mask[i][t] != 0 ? r[i][t] : phantom;
      advantage = reward + options.gamma * next_value - value + decay * advantage;
      next_value = value;
      raw[i][t] = static_cast<float>(advantage);
      out.returns[i][t] = static_cast<float>(advantage + value);
    }
  }
  out.advantages = Whiten(raw, mask, /*keep_mean=*/false);
  return out;
}

}  // namespace mellow::rl
