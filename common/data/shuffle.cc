#include "common/data/shuffle.h"

#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "common/base/philox.h"

namespace mellow::data {
namespace {

// Keeps these numbers apart from others that a run draws with its seed.
constexpr uint32_t kStream = 0x73687566;

// Uniform in [0, bound). 64 random bits times a bound below 2^32: the bias is below 2^-32, which no
// run can notice, and no number is rejected, so draw `index` needs exactly one counter.
uint32_t UniformBelow(uint32_t bound, uint32_t index, uint64_t epoch, const PhiloxKey& key) {
  const PhiloxCounter out = Philox4x32(
      {index, static_cast<uint32_t>(epoch), static_cast<uint32_t>(epoch >> 32), kStream}, key);
  const uint64_t low = uint64_t{out[1]} * bound;
  return static_cast<uint32_t>((uint64_t{out[0]} * bound + (low >> 32)) >> 32);
}

}  // namespace

std::vector<uint32_t> Permutation(uint64_t seed, uint64_t epoch, uint32_t size) {
  const PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  std::vector<uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0u);
  for (uint32_t last = size; last > 1; --last) {  // Fisher and Yates
    std::swap(order[last - 1], order[UniformBelow(last, last - 1, epoch, key)]);
  }
  return order;
}

absl::StatusOr<std::unique_ptr<ShuffledIndices>> ShuffledIndices::Create(uint64_t seed,
                                                                         uint32_t size) {
  if (size == 0) return absl::InvalidArgumentError("there are no rows to draw from");
  return std::unique_ptr<ShuffledIndices>(new ShuffledIndices(seed, size));
}

uint32_t ShuffledIndices::At(uint64_t index) const {
  const uint64_t epoch = index / size_;
  MutexLock lock(&mutex_);
  if (order_.empty() || epoch != epoch_) {
    order_ = Permutation(seed_, epoch, size_);
    epoch_ = epoch;
  }
  return order_[index % size_];
}

}  // namespace mellow::data
