#include "common/rl/numpy_random.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

using ::testing::ElementsAre;

TEST(NumpyRandomTest, FirstWordsAreThoseOfTheReferenceGenerator) {
  NumpyRandom random(5489);  // the default seed of MT19937's authors
  EXPECT_EQ(random.NextUint32(), 3499211612u);
  for (int i = 1; i < 9999; ++i) static_cast<void>(random.NextUint32());
  EXPECT_EQ(random.NextUint32(), 4123659995u);  // the 10000th, given by the C++ standard
}

TEST(NumpyRandomTest, PermutationIsNumpys) {
  NumpyRandom random(0);
  EXPECT_THAT(random.Permutation(16),
              ElementsAre(1, 6, 8, 9, 13, 4, 2, 14, 10, 7, 15, 11, 3, 0, 5, 12));
}

TEST(NumpyRandomTest, BoundedStaysInRangeAndZeroDrawsNothing) {
  NumpyRandom random(1), untouched(1);
  EXPECT_EQ(random.Bounded(0), 0u);
  EXPECT_EQ(random.NextUint32(), untouched.NextUint32());
  for (int i = 0; i < 1000; ++i) EXPECT_LE(random.Bounded(4), 4u);
}

TEST(NumpyRandomTest, ContinuesFromASavedState) {
  NumpyRandom random(7);
  static_cast<void>(random.Permutation(100));
  NumpyRandom restored(0);
  restored.set_state(random.state());
  EXPECT_EQ(random.Permutation(1000), restored.Permutation(1000));
}

}  // namespace
}  // namespace mellow::rl
