#include "common/sft/batch_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/data/shuffle.h"

namespace mellow::sft {

std::vector<uint32_t> BatchPlan::PairsOf(int64_t step) {
  const int64_t epoch = step / steps_per_epoch();
  if (epoch != epoch_) {
    order_ = data::Permutation(seed_, static_cast<uint64_t>(epoch), pairs_);
    epoch_ = epoch;
  }
  const int64_t begin = step % steps_per_epoch() * pairs_per_step_;
  const int64_t end = std::min<int64_t>(begin + pairs_per_step_, pairs_);
  return {order_.begin() + begin, order_.begin() + end};
}

std::vector<uint32_t> HeldOutRows(uint32_t seed, uint32_t pairs, double share) {
  if (share <= 0 || pairs == 0) return {};
  // An epoch that no run reaches.
  std::vector<uint32_t> order =
      data::Permutation(seed, std::numeric_limits<uint64_t>::max(), pairs);
  const auto count = static_cast<size_t>(std::max(1.0, std::round(share * pairs)));
  order.resize(std::min<size_t>(count, pairs));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace mellow::sft
