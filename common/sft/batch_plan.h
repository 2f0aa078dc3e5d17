#ifndef MELLOW_COMMON_SFT_BATCH_PLAN_H_
#define MELLOW_COMMON_SFT_BATCH_PLAN_H_

#include <cstdint>
#include <vector>

namespace mellow::sft {

// Which pairs an optimizer step trains on. Every epoch goes over all pairs once, in a permutation
// of its own; its last step has what is left. A step's pairs follow from the arguments alone, so
// there is no cursor to keep. Not thread-safe.
class BatchPlan {
 public:
  // Preconditions: pairs and pairs_per_step at least 1.
  BatchPlan(uint32_t seed, uint32_t pairs, uint32_t pairs_per_step)
      : seed_(seed), pairs_(pairs), pairs_per_step_(pairs_per_step) {}

  [[nodiscard]] int64_t steps_per_epoch() const {
    return (static_cast<int64_t>(pairs_) + pairs_per_step_ - 1) / pairs_per_step_;
  }
  // Steps are counted from 0; not empty.
  [[nodiscard]] std::vector<uint32_t> PairsOf(int64_t step);

 private:
  const uint32_t seed_;
  const uint32_t pairs_;
  const uint32_t pairs_per_step_;
  int64_t epoch_ = -1;  // of order_
  std::vector<uint32_t> order_;
};

// Which of `pairs` rows are held out: a share of them (rounded, at least one when share > 0), drawn
// by the seed, in ascending order. Preconditions: share in [0, 1).
[[nodiscard]] std::vector<uint32_t> HeldOutRows(uint32_t seed, uint32_t pairs, double share);

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_BATCH_PLAN_H_
