#include "common/nn/cpu/position_bias.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace mellow::nn::cpu {

int RelativePositionBucket(int relative, bool bidirectional, int buckets, int max_distance) {
  int bucket = 0;
  int distance;
  if (bidirectional) {
    buckets /= 2;
    if (relative > 0) bucket = buckets;
    distance = std::abs(relative);
  } else {
    distance = std::max(-relative, 0);
  }
  const int exact = buckets / 2;
  if (distance < exact) return bucket + distance;
  // In float as transformers computes it: a position on the edge of two buckets must fall to the
  // same side.
  const float log_ratio = std::log(static_cast<float>(distance) / static_cast<float>(exact));
  const auto log_range = static_cast<float>(std::log(static_cast<double>(max_distance) / exact));
  const int large =
      exact + static_cast<int>(log_ratio / log_range * static_cast<float>(buckets - exact));
  return bucket + std::min(large, buckets - 1);
}

PositionBias::PositionBias(std::vector<float> table, int buckets, int heads, bool bidirectional,
                           int max_distance)
    : table_(std::move(table)),
      buckets_(buckets),
      heads_(heads),
      bidirectional_(bidirectional),
      max_distance_(max_distance) {}

void PositionBias::Reserve(int length) {
  if (length <= length_) return;
  length = std::max(length, 2 * length_);
  values_.assign(static_cast<size_t>(heads_) * 2 * length, 0.0f);
  length_ = length;  // which stays where memory ends
  for (int relative = -length_; relative < length_; ++relative) {
    const int bucket = RelativePositionBucket(relative, bidirectional_, buckets_, max_distance_);
    for (int head = 0; head < heads_; ++head) {
      values_[(static_cast<size_t>(head) * 2 + 1) * length_ + relative] =
          table_[static_cast<size_t>(bucket) * heads_ + head];
    }
  }
}

}  // namespace mellow::nn::cpu
