#include "services/cli/probe/python_random.h"

#include <bit>

#include "common/rl/numpy_random.h"

namespace mellow::cli {
namespace {

using rl::NumpyRandom;

// Both use MT19937, but Python seeds it by init_by_array (Matsumoto and Nishimura 2002) with the
// seed as an array of one word.
NumpyRandom SeededAsPython(uint32_t seed) {
  constexpr int kWords = NumpyRandom::kStateWords;
  NumpyRandom generator(19650218);
  NumpyRandom::State state = generator.state();
  auto& w = state.words;
  int i = 1;
  const auto next = [&] {
    if (++i < kWords) return;
    w[0] = w[kWords - 1];
    i = 1;
  };
  for (int k = 0; k < kWords; ++k) {
    w[i] = (w[i] ^ ((w[i - 1] ^ (w[i - 1] >> 30)) * 1664525U)) + seed;
    next();
  }
  for (int k = 0; k < kWords - 1; ++k) {
    w[i] = (w[i] ^ ((w[i - 1] ^ (w[i - 1] >> 30)) * 1566083941U)) - static_cast<uint32_t>(i);
    next();
  }
  w[0] = 0x80000000U;
  state.position = kWords;
  generator.set_state(state);
  return generator;
}

}  // namespace

std::vector<int> PythonRandints(uint32_t seed, int count, int low, int high) {
  NumpyRandom generator = SeededAsPython(seed);
  const uint32_t range = static_cast<uint32_t>(high - low) + 1;
  const int bits = std::bit_width(range);
  std::vector<int> numbers;
  while (static_cast<int>(numbers.size()) < count) {
    const uint32_t drawn = generator.NextUint32() >> (32 - bits);
    if (drawn < range) numbers.push_back(low + static_cast<int>(drawn));
  }
  return numbers;
}

}  // namespace mellow::cli
