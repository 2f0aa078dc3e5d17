#include "common/base/philox.h"

#include <gtest/gtest.h>

namespace mellow {
namespace {

// Known answers of Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UniformIsTheTop53BitsOfTheFirstTwoWords) {
  EXPECT_EQ(PhiloxUniform({0, 0, 0, 0}, {0, 0}),
            static_cast<double>(0x6627e8d5e169c58dull >> 11) / 9007199254740992.0);
}

TEST(PhiloxTest, UniformCoversTheIntervalEvenly) {
  constexpr uint32_t kDraws = 100'000;
  int buckets[10] = {};
  for (uint32_t i = 0; i < kDraws; ++i) {
    const double u = PhiloxUniform({i, 0, 0, 0}, {42, 7});
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++buckets[static_cast<int>(u * 10)];
  }
  for (int count : buckets) EXPECT_NEAR(count, kDraws / 10, 500);  // five standard deviations
}

}  // namespace
}  // namespace mellow
