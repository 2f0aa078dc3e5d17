#ifndef MELLOW_COMMON_DATA_SHUFFLE_H_
#define MELLOW_COMMON_DATA_SHUFFLE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sync/mutex.h"

namespace mellow::data {

// A permutation of 0 ... size - 1, uniform among all, that depends on nothing but the arguments.
[[nodiscard]] std::vector<uint32_t> Permutation(uint64_t seed, uint64_t epoch, uint32_t size);

// The endless sequence of row indices of a run: every epoch all rows, in a new permutation of the
// run's seed. Thread-safe.
class ShuffledIndices {
 public:
  // InvalidArgument: size is 0.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ShuffledIndices>> Create(uint64_t seed,
                                                                               uint32_t size);

  // The row of draw `index`, from 0. Draws of the same epoch as the last one cost no new
  // permutation.
  [[nodiscard]] uint32_t At(uint64_t index) const;

 private:
  ShuffledIndices(uint64_t seed, uint32_t size) : seed_(seed), size_(size) {}

  const uint64_t seed_;
  const uint32_t size_;
  mutable Mutex mutex_;
  mutable uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::vector<uint32_t> order_ ABSL_GUARDED_BY(mutex_);  // of epoch_; empty at first
};

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_SHUFFLE_H_
