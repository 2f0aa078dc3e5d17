#include "common/rl/numpy_random.h"

#include <bit>
#include <cstddef>
#include <numeric>
#include <utility>

namespace mellow::rl {

NumpyRandom::NumpyRandom(uint32_t seed) {
  state_.words[0] = seed;
  for (uint32_t i = 1; i < kStateWords; ++i) {
    const uint32_t previous = state_.words[i - 1];
    state_.words[i] = 1812433253u * (previous ^ (previous >> 30)) + i;
  }
  state_.position = kStateWords;
}

void NumpyRandom::Refill() {
  constexpr int kShift = 397;
  auto& words = state_.words;
  for (int k = 0; k < kStateWords; ++k) {
    const uint32_t y = (words[k] & 0x80000000u) | (words[(k + 1) % kStateWords] & 0x7fffffffu);
    words[k] = words[(k + kShift) % kStateWords] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
  }
  state_.position = 0;
}

uint32_t NumpyRandom::NextUint32() {
  if (state_.position >= kStateWords) Refill();
  uint32_t y = state_.words[state_.position++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint32_t NumpyRandom::Bounded(uint32_t max) {
  if (max == 0) return 0;
  const uint32_t mask = ~uint32_t{0} >> std::countl_zero(max);
  while (true) {
    const uint32_t drawn = NextUint32() & mask;
    if (drawn <= max) return drawn;
  }
}

std::vector<int> NumpyRandom::Permutation(int n) {
  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int i = n - 1; i > 0; --i) std::swap(order[i], order[Bounded(static_cast<uint32_t>(i))]);
  return order;
}

}  // namespace mellow::rl
