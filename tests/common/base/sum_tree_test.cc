#include "common/base/sum_tree.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace mellow {
namespace {

using Node = std::pair<int, int>;

// The sum of all leaves, from the nodes in `known` where there are some. Adds up as SumTree says.
float Sum(const std::vector<float>& leaves, int first, int last, const std::map<Node, float>& known,
          int* slots_used) {
  std::vector<float> slots(static_cast<size_t>(SumTreeSlots(leaves.size())));
  const auto make = [&](int from, int to, int slot) {
    *slots_used = std::max(*slots_used, slot + 1);
    if (const auto it = known.find({from, to}); it != known.end()) {
      slots.at(static_cast<size_t>(slot)) = it->second;
      return true;
    }
    if (to - from > 1) return false;
    slots.at(static_cast<size_t>(slot)) = leaves[static_cast<size_t>(from)];
    return true;
  };
  const auto add = [&](int slot) {
    slots[static_cast<size_t>(slot)] += slots[static_cast<size_t>(slot) + 1];
  };
  SumTree(first, last, 0, make, add);
  return slots[0];
}

// Cuts the tree at random into nodes that are computed by themselves.
void Cut(const std::vector<float>& leaves, int first, int last, std::mt19937* random,
         std::map<Node, float>* nodes) {
  if (last - first > 1 && (*random)() % 3 != 0) {
    const int middle = MiddleOf(first, last);
    Cut(leaves, first, middle, random, nodes);
    Cut(leaves, middle, last, random, nodes);
    return;
  }
  // As another node would: of a tree over these leaves alone.
  const std::vector<float> own(leaves.begin() + first, leaves.begin() + last);
  int slots = 0;
  (*nodes)[{first, last}] = Sum(own, 0, last - first, {}, &slots);
}

TEST(SumTreeTest, EveryCutIntoNodesGivesTheSameBits) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 1000);
  int different = 0;
  for (int count = 1; count <= 17; ++count) {
    std::vector<float> leaves(static_cast<size_t>(count));
    for (float& leaf : leaves) leaf = normal(random) / static_cast<float>(1 + random() % 1000);
    int slots = 0;
    const float whole = Sum(leaves, 0, count, {}, &slots);
    EXPECT_EQ(slots, SumTreeSlots(leaves.size()))
        << count << " leaves use the slots they are given";
    for (int trial = 0; trial < 50; ++trial) {
      std::map<Node, float> nodes;
      Cut(leaves, 0, count, &random, &nodes);
      const float sum = Sum(leaves, 0, count, nodes, &slots);
      EXPECT_EQ(0, std::memcmp(&sum, &whole, sizeof(sum)))
          << count << " leaves in " << nodes.size() << " nodes";
    }
    float in_order = 0;
    for (const float leaf : leaves) in_order += leaf;
    different += in_order != whole ? 1 : 0;
  }
  EXPECT_GT(different, 0) << "numbers whose sum does not depend on the order would show nothing";
}

}  // namespace
}  // namespace mellow
