#include "common/sft/batch_plan.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::sft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<uint32_t> Epoch(BatchPlan& plan, int64_t epoch) {
  std::vector<uint32_t> all;
  for (int64_t s = 0; s < plan.steps_per_epoch(); ++s) {
    const std::vector<uint32_t> pairs = plan.PairsOf(epoch * plan.steps_per_epoch() + s);
    all.insert(all.end(), pairs.begin(), pairs.end());
  }
  return all;
}

TEST(BatchPlanTest, EveryEpochHasEveryPairOnceInAnotherOrder) {
  BatchPlan plan(/*seed=*/3, /*pairs=*/10, /*pairs_per_step=*/4);
  ASSERT_EQ(plan.steps_per_epoch(), 3);
  std::vector<uint32_t> first = Epoch(plan, 0), second = Epoch(plan, 1);
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_THAT(first, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_EQ(second, first);
  EXPECT_THAT(plan.PairsOf(2), SizeIs(2)) << "what is left";
}

TEST(BatchPlanTest, AStepDoesNotDependOnTheStepsBefore) {
  BatchPlan in_order(1, 7, 2), later(1, 7, 2);
  std::vector<uint32_t> expected;
  for (int64_t s = 0; s <= 9; ++s) expected = in_order.PairsOf(s);
  EXPECT_EQ(later.PairsOf(9), expected);
  BatchPlan other(2, 7, 2);
  EXPECT_NE(Epoch(other, 0), Epoch(later, 0));
}

TEST(HeldOutRowsTest, AShareThatTheSeedDraws) {
  const std::vector<uint32_t> rows = HeldOutRows(5, 100, 0.1);
  EXPECT_THAT(rows, SizeIs(10));
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
  EXPECT_LT(rows.back(), 100u);
  EXPECT_EQ(HeldOutRows(5, 100, 0.1), rows);
  EXPECT_NE(HeldOutRows(6, 100, 0.1), rows);
  EXPECT_THAT(HeldOutRows(5, 3, 0.01), SizeIs(1)) << "at least one";
  EXPECT_THAT(HeldOutRows(5, 100, 0), IsEmpty());
}

}  // namespace
}  // namespace mellow::sft
