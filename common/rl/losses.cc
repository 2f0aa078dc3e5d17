#include "common/rl/losses.h"

#include <algorithm>
#include <cmath>

#include "common/rl/masked.h"

namespace mellow::rl {
namespace {

// A clipped objective max(open, clipped) and its derivative by the new prediction.
struct Branches {
  double open;
  double clipped;
  double d_open;
  double d_clipped;

  double value() const { return std::max(open, clipped); }
  bool clips() const { return clipped > open; }
  double derivative() const {
    if (open > clipped) return d_open;
    if (open < clipped) return d_clipped;
    return 0.5 * (d_open + d_clipped);
  }
};

// d ratio / d log p = ratio, so both branches of the policy loss differentiate to -A ratio, the
// clipped one only inside the closed interval where clamp passes the gradient.
Branches PolicyBranches(double ratio, double advantage, double eps) {
  const double low = 1.0 - eps;
  const double high = 1.0 + eps;
  const double open = -advantage * ratio;
  const bool inside = low <= ratio && ratio <= high;
  return {open, -advantage * std::clamp(ratio, low, high), open, inside ? open : 0.0};
}

// Half the squared error; the prediction may move by eps from the old value. TRL clamps by
// max(min(v, high), low), which passes half of the gradient on a bound.
Branches ValueBranches(double value, double old_value, double target, double eps) {
  const double low = old_value - eps;
  const double high = old_value + eps;
  const double clipped = std::clamp(value, low, high);
  const double slope = low < value && value < high     ? 1.0
                       : low <= value && value <= high ? 0.5
                                                       : 0.0;
  return {(value - target) * (value - target), (clipped - target) * (clipped - target),
          value - target, slope * (clipped - target)};
}

}  // namespace

Losses ComputeLosses(const LossInput& input, const LossOptions& options) {
  const MaskRows& mask = *input.mask;
  const int64_t count = CountMask(mask);
  const double n = count == 0 ? 1.0 : static_cast<double>(count);

  Losses out;
  LossStats& s = out.stats;
  out.d_logprobs.resize(mask.size());
  out.d_values.resize(mask.size());
  double policy = 0;
  double squared = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    out.d_logprobs[i].assign(mask[i].size(), 0.0f);
    out.d_values[i].assign(mask[i].size(), 0.0f);
    for (size_t t = 0; t < mask[i].size(); ++t) {
      if (mask[i][t] == 0) continue;
      const double change =
          static_cast<double>((*input.new_logprobs)[i][t]) - (*input.old_logprobs)[i][t];
      const double ratio = std::exp(change);
      const double advantage = (*input.advantages)[i][t];
      const double weight =
          input.importance_weights == nullptr ? 1.0 : (*input.importance_weights)[i][t];
      const Branches p = PolicyBranches(ratio, advantage, options.cliprange);
      const double value = (*input.new_values)[i][t];
      const double target = (*input.returns)[i][t];
      const Branches v =
          ValueBranches(value, (*input.old_values)[i][t], target, options.cliprange_value);

      out.d_logprobs[i][t] = static_cast<float>(weight * p.derivative());
      out.d_values[i][t] = static_cast<float>(options.vf_coef * v.derivative());
      policy += weight * p.value();
      squared += v.value();
      s.policy_clip_fraction += p.clips() ? 1 : 0;
      s.value_clip_fraction += v.clips() ? 1 : 0;
      s.value_error += v.open;
      s.approx_kl += 0.5 * change * change;
      s.policy_kl -= change;
      s.ratio_mean += ratio;
      s.advantages_mean += advantage;
      s.value_prediction += value;
      if (input.entropies != nullptr) s.entropy += (*input.entropies)[i][t];
    }
  }
  for (double* sum :
       {&s.policy_clip_fraction, &s.value_clip_fraction, &s.value_error, &s.approx_kl, &s.policy_kl,
        &s.ratio_mean, &s.advantages_mean, &s.value_prediction, &s.entropy})
    *sum /= n;
  s.policy_loss = policy / n;
  s.value_loss = 0.5 * squared / n;
  s.total_loss = s.policy_loss + options.vf_coef * s.value_loss;
  s.returns_mean = MaskedMean(*input.returns, mask);
  s.returns_var = MaskedVariance(*input.returns, mask);
  s.old_value_mean = MaskedMean(*input.old_values, mask);
  s.old_value_var = MaskedVariance(*input.old_values, mask);
  return out;
}

}  // namespace mellow::rl
