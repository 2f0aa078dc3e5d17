#include "common/rl/masked.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

using ::testing::ElementsAre;

TEST(ResponseMaskTest, CountsEveryTokenOrAllButTheFirst) {
  EXPECT_THAT(ResponseMask({3, 0, 1}, /*skip_first_token=*/false),
              ElementsAre(ElementsAre(1, 1, 1), ElementsAre(), ElementsAre(1)));
  EXPECT_THAT(ResponseMask({3, 0, 1}, /*skip_first_token=*/true),
              ElementsAre(ElementsAre(0, 1, 1), ElementsAre(), ElementsAre(0)));
}

TEST(MaskedTest, MeanAndUnbiasedVarianceIgnoreMaskedPositionsEvenInfinities) {
  const Rows x = {{1, std::numeric_limits<float>::infinity()}, {3, 5}};
  const MaskRows mask = {{1, 0}, {1, 1}};
  EXPECT_EQ(CountMask(mask), 3);
  EXPECT_DOUBLE_EQ(MaskedMean(x, mask), 3.0);
  EXPECT_DOUBLE_EQ(MaskedVariance(x, mask), 4.0);
}

TEST(MaskedTest, NothingCountedGivesZeros) {
  EXPECT_EQ(MaskedMean(Rows{{7}}, MaskRows{{0}}), 0);
  EXPECT_EQ(MaskedVariance({{7}}, {{0}}), 0);
}

TEST(WhitenTest, HasMeanZeroAndVarianceOneOverCountedPositions) {
  const Rows x = {{1, 9}, {3, 5}};
  const MaskRows mask = {{1, 0}, {1, 1}};
  const Rows y = Whiten(x, mask, /*keep_mean=*/false);
  EXPECT_THAT(y, ElementsAre(ElementsAre(-1, 0), ElementsAre(0, 1)));
  const Rows kept = Whiten(x, mask, /*keep_mean=*/true);
  EXPECT_THAT(kept, ElementsAre(ElementsAre(2, 0), ElementsAre(3, 4)));
}

TEST(WhitenTest, OneCountedPositionHasNoVarianceAndStaysFinite) {
  EXPECT_THAT(Whiten({{4, 2}}, {{1, 0}}, /*keep_mean=*/false), ElementsAre(ElementsAre(0, 0)));
  EXPECT_THAT(Whiten({{4, 2}}, {{1, 0}}, /*keep_mean=*/true), ElementsAre(ElementsAre(4, 0)));
}

}  // namespace
}  // namespace mellow::rl
