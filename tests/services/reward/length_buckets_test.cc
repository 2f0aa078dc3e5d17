#include "services/reward/length_buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::reward {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(BucketByLengthTest, PutsSimilarLengthsTogetherShortestFirst) {
  EXPECT_THAT(BucketByLength({10, 2, 9, 2}, 20), ElementsAre(ElementsAre(1, 3), ElementsAre(2, 0)));
}

TEST(BucketByLengthTest, PaddedTokensStayWithinTheLimit) {
  const std::vector<int64_t> lengths = {5, 1, 7, 3, 3, 8, 2, 6};
  size_t items = 0;
  for (const auto& batch : BucketByLength(lengths, 12)) {
    int64_t longest = 0;
    for (size_t index : batch) longest = std::max(longest, lengths[index]);
    EXPECT_LE(longest * static_cast<int64_t>(batch.size()), 12);
    items += batch.size();
  }
  EXPECT_EQ(items, lengths.size());
}

TEST(BucketByLengthTest, AnItemOverTheLimitIsAlone) {
  EXPECT_THAT(BucketByLength({50, 1}, 10), ElementsAre(ElementsAre(1), ElementsAre(0)));
}

TEST(BucketByLengthTest, NothingGivesNothing) { EXPECT_THAT(BucketByLength({}, 10), IsEmpty()); }

}  // namespace
}  // namespace mellow::reward
