#ifndef MELLOW_COMMON_BASE_PHILOX_H_
#define MELLOW_COMMON_BASE_PHILOX_H_

// Philox 4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011). The number drawn for a key and a counter depends on
// nothing else, so it does not matter which node or thread draws it, or in which order.

#include <array>
#include <cstdint>

namespace mellow {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

inline PhiloxCounter Philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// A double in [0, 1) with 53 random bits.
inline double PhiloxUniform(const PhiloxCounter& counter, const PhiloxKey& key) {
  const PhiloxCounter out = Philox4x32(counter, key);
  const uint64_t bits = (uint64_t{out[0]} << 32) | out[1];
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_PHILOX_H_
