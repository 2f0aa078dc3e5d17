#include "common/nn/torch/position_bias.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <utility>

namespace mellow::nn {

at::Tensor RelativePositionBucket(const at::Tensor& relative_position, bool bidirectional,
                                  int buckets, int max_distance) {
  at::Tensor base = at::zeros_like(relative_position);
  at::Tensor distance;
  if (bidirectional) {
    buckets /= 2;
    base = relative_position.gt(0).to(at::kLong) * buckets;
    distance = relative_position.abs();
  } else {
    distance = relative_position.clamp_max(0).neg();
  }
  const int exact = buckets / 2;
  // In fp32, as transformers: the truncation makes the last bit visible.
  const at::Tensor far =
      ((distance.to(at::kFloat) / exact).log() /
       std::log(static_cast<double>(max_distance) / exact) * (buckets - exact))
          .clamp(-1.0, static_cast<double>(
                           buckets))  // log(0) = -inf is not chosen below, but must convert
          .to(at::kLong) +
      exact;
  return base + at::where(distance.lt(exact), distance, far.clamp_max(buckets - 1));
}

PositionBias::PositionBias(const T5Config& config, at::Tensor table, bool causal)
    : buckets_(config.relative_attention_num_buckets),
      max_distance_(config.relative_attention_max_distance),
      causal_(causal),
      table_(std::move(table)) {}

void PositionBias::Grow(int64_t n) {
  const at::NoGradGuard no_grad;
  const at::Tensor position = at::arange(n, at::TensorOptions(at::kLong).device(table_.device()));
  const at::Tensor relative = position.unsqueeze(0) - position.unsqueeze(1);  // key - query
  const at::Tensor bucket = RelativePositionBucket(relative, !causal_, buckets_, max_distance_);
  at::Tensor bias = table_.t().index_select(1, bucket.flatten()).view({table_.size(1), n, n});
  if (causal_) bias.masked_fill_(relative.gt(0), -std::numeric_limits<double>::infinity());
  bias_ = std::move(bias);  // never one without its mask
}

at::Tensor PositionBias::Get(int64_t n) {
  constexpr int64_t kStep = 64;
  if (!bias_.defined() || bias_.size(1) < n) Grow((n + kStep - 1) / kStep * kStep);
  return bias_.narrow(1, 0, n).narrow(2, 0, n);
}

}  // namespace mellow::nn
