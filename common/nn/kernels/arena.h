#ifndef MELLOW_COMMON_NN_KERNELS_ARENA_H_
#define MELLOW_COMMON_NN_KERNELS_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/nn/kernels/aligned_buffer.h"

namespace mellow::nn::kernels {

// Floats that are taken one after the other and given back all at once, down to a mark. The memory
// stays until the arena goes: fresh pages for every pass would cost more than many a product. Not
// thread-safe.
class Arena {
 public:
  struct Mark {
    size_t block = 0;
    size_t used = 0;  // of that block
  };

  // Contents are undefined; aligned for any vector.
  float* Take(size_t floats) {
    floats = (floats + 15) / 16 * 16;
    while (at_.block < blocks_.size() && at_.used + floats > blocks_[at_.block].floats)
      at_ = {at_.block + 1, 0};
    if (at_.block == blocks_.size()) {
      const size_t last = blocks_.empty() ? kFirst / 2 : blocks_.back().floats;
      const size_t size = std::max(floats, std::min(2 * last, kLargest));
      blocks_.push_back({FloatBuffer(size), size});
    }
    float* const taken = blocks_[at_.block].data.data() + at_.used;
    at_.used += floats;
    return taken;
  }
  [[nodiscard]] Mark mark() const { return at_; }
  // Gives back all that was taken since.
  void Rewind(Mark mark) { at_ = mark; }
  // Gives back everything, as AlignedBytes::Discard.
  void Discard() {
    at_ = {};
    for (Block& block : blocks_) block.data.Discard();
  }

 private:
  static constexpr size_t kFirst = size_t{1} << 18;
  static constexpr size_t kLargest = size_t{1} << 24;
  struct Block {
    FloatBuffer data;
    size_t floats;
  };
  std::vector<Block> blocks_;
  Mark at_;
};

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ARENA_H_
