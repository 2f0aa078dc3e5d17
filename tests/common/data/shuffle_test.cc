#include "common/data/shuffle.h"

#include <map>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::data {
namespace shuffle_test {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

std::vector<uint32_t> Identity(uint32_t size) {
  std::vector<uint32_t> all(size);
  for (uint32_t i = 0; i < size; ++i) all[i] = i;
  return all;
}

TEST(PermutationTest, HoldsEveryIndexOnce) {
  for (const uint32_t size : {1u, 2u, 3u, 100u, 1000u}) {
    EXPECT_THAT(Permutation(/*seed=*/1, /*epoch=*/0, size),
                UnorderedElementsAreArray(Identity(size)));
  }
  EXPECT_THAT(Permutation(1, 0, 0), IsEmpty());
}

TEST(PermutationTest, DependsOnAllBitsOfSeedAndEpoch) {
  const auto base = Permutation(1, 0, 50);
  EXPECT_EQ(Permutation(1, 0, 50), base);
  EXPECT_NE(Permutation(2, 0, 50), base);
  EXPECT_NE(Permutation(1 + (1ull << 32), 0, 50), base);
  EXPECT_NE(Permutation(1, 1, 50), base);
  EXPECT_NE(Permutation(1, 1ull << 32, 50), base);
}

// The order of a run's prompts is part of its result: a change here changes every recorded run.
TEST(PermutationTest, NeverChanges) {
  EXPECT_THAT(Permutation(42, 7, 10), ElementsAre(3, 6, 4, 7, 0, 2, 5, 9, 8, 1));
}

TEST(PermutationTest, AllPermutationsAreEquallyLikely) {
  std::map<std::vector<uint32_t>, int> counts;
  constexpr int kDraws = 24000;
  for (int seed = 0; seed < kDraws; ++seed) ++counts[Permutation(seed, 3, 4)];
  ASSERT_EQ(counts.size(), 24u);
  double chi_squared = 0;  // 23 degrees of freedom: 49.7 is exceeded once in a thousand times
  for (const auto& [order, count] : counts)
    chi_squared += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_squared, 49.7);
}

TEST(ShuffledIndicesTest, EveryEpochHasAllRowsInItsOwnOrder) {
  const auto indices = ShuffledIndices::Create(/*seed=*/5, /*size=*/20);
  ASSERT_TRUE(indices.ok()) << indices.status();
  std::vector<uint32_t> first, second;
  for (uint64_t i = 0; i < 20; ++i) first.push_back((*indices)->At(i));
  for (uint64_t i = 20; i < 40; ++i) second.push_back((*indices)->At(i));
  EXPECT_EQ(first, Permutation(5, 0, 20));
  EXPECT_EQ(second, Permutation(5, 1, 20));
  EXPECT_EQ((*indices)->At(3), first[3]);  // back to an earlier epoch
}

TEST(ShuffledIndicesTest, ThreadsSeeTheSameSequence) {
  const auto indices = *ShuffledIndices::Create(9, 64);
  std::vector<std::vector<uint32_t>> seen(4);
  {
    std::vector<std::jthread> threads;
    for (auto& out : seen) {
      threads.emplace_back([&] {
        for (uint64_t i = 0; i < 640; ++i) out.push_back(indices->At(i * 37 % 640));
      });
    }
  }
  for (const auto& out : seen) EXPECT_EQ(out, seen[0]);
}

TEST(ShuffledIndicesTest, RejectsAnEmptyDataSet) {
  EXPECT_EQ(ShuffledIndices::Create(1, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace shuffle_test
}  // namespace mellow::data
