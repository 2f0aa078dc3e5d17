#include "common/rl/mini_batches.h"

#include <algorithm>

#include "common/base/sum_tree.h"

namespace mellow::rl {

std::vector<int> BalancedOrder(std::vector<int> rows, const std::vector<size_t>& cost) {
  if (rows.size() < 2) return rows;
  const auto cost_of = [&](int row) { return cost[static_cast<size_t>(row)]; };
  std::sort(rows.begin(), rows.end(), [&](int a, int b) {
    return cost_of(a) != cost_of(b) ? cost_of(a) > cost_of(b) : a < b;
  });
  const size_t middle = MiddleOf(size_t{0}, rows.size());
  const size_t room[] = {middle, rows.size() - middle};
  std::vector<int> halves[2];
  size_t sums[] = {0, 0};
  for (const int row : rows) {
    size_t side = sums[1] < sums[0] ? 1 : 0;
    if (halves[side].size() == room[side]) side = 1 - side;
    halves[side].push_back(row);
    sums[side] += cost_of(row);
  }
  std::vector<int> order = BalancedOrder(std::move(halves[0]), cost);
  for (const int row : BalancedOrder(std::move(halves[1]), cost)) order.push_back(row);
  return order;
}

}  // namespace mellow::rl
