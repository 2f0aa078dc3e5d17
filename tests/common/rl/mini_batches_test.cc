#include "common/rl/mini_batches.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "common/base/sum_tree.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

size_t Cost(const std::vector<int>& rows, size_t first, size_t last,
            const std::vector<size_t>& cost) {
  size_t sum = 0;
  for (size_t i = first; i < last; ++i) sum += cost[static_cast<size_t>(rows[i])];
  return sum;
}

TEST(BalancedOrderTest, HalvesOfTheTreeCostAboutTheSame) {
  EXPECT_EQ(BalancedOrder({3, 2, 1, 0}, {40, 30, 20, 10}), (std::vector<int>{0, 3, 1, 2}));
  std::mt19937 random(1);
  for (int count = 1; count <= 32; ++count) {
    std::vector<size_t> cost(static_cast<size_t>(count));
    for (size_t& c : cost) c = 100 + random() % 300;
    std::vector<int> rows(cost.size());
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end(), random);
    const std::vector<int> order = BalancedOrder(rows, cost);
    std::vector<int> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> all(cost.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sorted, all) << "each row once";
    std::reverse(rows.begin(), rows.end());
    EXPECT_EQ(BalancedOrder(rows, cost), order) << "however they were drawn";
    if (count < 8 || count % 2 != 0) continue;
    const size_t middle = MiddleOf(size_t{0}, order.size());
    const auto left = static_cast<double>(Cost(order, 0, middle, cost));
    const auto right = static_cast<double>(Cost(order, middle, order.size(), cost));
    EXPECT_LT(std::abs(left - right), 0.1 * (left + right)) << count;
  }
}

}  // namespace
}  // namespace mellow::rl
