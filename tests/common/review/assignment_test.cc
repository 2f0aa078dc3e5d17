#include "common/review/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace mellow::review {
namespace {

std::vector<ItemCoverage> MakeCoverage(int items, int shared) {
  std::vector<ItemCoverage> coverage(items);
  for (int i = 0; i < shared; ++i) coverage[i].shared = true;
  return coverage;
}

std::vector<int64_t> ItemsOf(const std::vector<Assignment>& assignments) {
  std::vector<int64_t> items;
  for (const Assignment& a : assignments) items.push_back(a.item);
  return items;
}

TEST(AssignmentTest, EverybodyGetsTheSharedItemsAndTheRestIsSplit) {
  std::vector<ItemCoverage> coverage = MakeCoverage(/*items=*/23, /*shared=*/5);
  std::vector<int> seen(23);
  std::vector<size_t> loads;
  for (int64_t person = 0; person < 4; ++person) {
    const auto items = ItemsOf(
        AssignItems(coverage, QuotaOf(18, person, 4), /*seed=*/9, static_cast<uint32_t>(person)));
    EXPECT_EQ(std::set<int64_t>(items.begin(), items.end()).size(), items.size());
    loads.push_back(items.size());
    for (const int64_t item : items) {
      ++seen[item];
      ++coverage[item].annotators;
    }
  }
  EXPECT_EQ(loads, (std::vector<size_t>{10, 10, 9, 9}));
  for (int i = 0; i < 23; ++i) EXPECT_EQ(seen[i], i < 5 ? 4 : 1) << i;
}

TEST(AssignmentTest, ANewcomerGetsWhatFewestHave) {
  std::vector<ItemCoverage> coverage = MakeCoverage(6, 0);
  coverage[0].annotators = coverage[2].annotators = coverage[3].annotators = 1;
  auto items = ItemsOf(AssignItems(coverage, 4, 1, 5));
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, (std::vector<int64_t>{0, 1, 4, 5}));
}

TEST(AssignmentTest, OrderAndSidesFollowFromSeedAnnotatorAndItemAlone) {
  const std::vector<ItemCoverage> coverage = MakeCoverage(40, 40);
  const auto a = AssignItems(coverage, 0, 1, 1);
  const auto again = AssignItems(coverage, 0, 1, 1);
  const auto other_person = AssignItems(coverage, 0, 1, 2);
  const auto other_seed = AssignItems(coverage, 0, 2, 1);
  EXPECT_EQ(ItemsOf(a), ItemsOf(again));
  EXPECT_NE(ItemsOf(a), ItemsOf(other_person));
  EXPECT_NE(ItemsOf(a), ItemsOf(other_seed));
  // A side does not depend on how many items there are, or on the place among them.
  const auto longer = AssignItems(MakeCoverage(41, 41), 0, 1, 1);
  for (const Assignment& one : a) {
    const auto found = std::find_if(longer.begin(), longer.end(),
                                    [&one](const auto& other) { return other.item == one.item; });
    ASSERT_NE(found, longer.end());
    EXPECT_EQ(found->arm_first, one.arm_first);
  }
}

TEST(AssignmentTest, SidesAreBalanced) {
  // 40,000 fair coins: 4.5 standard deviations are 450. The draws are fixed, so this cannot flake.
  int64_t first = 0;
  int64_t first_in_early_positions = 0;
  int64_t same_as_neighbor = 0;
  const std::vector<ItemCoverage> coverage = MakeCoverage(400, 400);
  std::vector<bool> previous(400);
  for (uint32_t person = 0; person < 100; ++person) {
    const auto assignments = AssignItems(coverage, 0, /*seed=*/12345, person);
    for (size_t position = 0; position < assignments.size(); ++position) {
      const Assignment& a = assignments[position];
      first += a.arm_first ? 1 : 0;
      first_in_early_positions += a.arm_first && position < 200 ? 1 : 0;
      same_as_neighbor += a.arm_first == previous[a.item] ? 1 : 0;
      previous[a.item] = a.arm_first;
    }
  }
  EXPECT_LT(std::abs(first - 20000), 450);
  EXPECT_LT(std::abs(first_in_early_positions - 10000), 320);
  EXPECT_LT(std::abs(same_as_neighbor - 20000), 450);
}

TEST(AssignmentTest, QuotasAddUp) {
  for (const int64_t rest : {0, 1, 7, 100}) {
    for (const int64_t total : {1, 3, 8}) {
      int64_t sum = 0;
      for (int64_t i = 0; i < total; ++i) sum += QuotaOf(rest, i, total);
      EXPECT_EQ(sum, rest);
    }
  }
}

}  // namespace
}  // namespace mellow::review
