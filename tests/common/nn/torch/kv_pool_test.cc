#include "common/nn/torch/kv_pool.h"

#include <cmath>

#include "common/nn/torch/tensors.h"
#include "gtest/gtest.h"

namespace mellow::nn {
namespace {

TEST(KvPoolTest, KeepsContentsWhileItGrowsAndReusesFreedSlots) {
  const auto pool = std::make_shared<KvPool>(/*layers=*/1, /*heads=*/2, /*width=*/3, at::kCPU);
  auto first = KvPool::Take(pool);
  pool->Reserve(1);
  const at::Tensor keys = at::arange(6, at::kFloat).view({1, 6});
  pool->Append(0, IdTensor({first->index()}, at::kCPU), IdTensor({0}, at::kCPU), keys, -keys);
  auto second = KvPool::Take(pool);
  pool->Reserve(5);
  const at::Tensor slots = IdTensor({first->index()}, at::kCPU);
  EXPECT_TRUE(pool->Keys(0, slots, 1).view({1, 6}).equal(keys));
  EXPECT_TRUE(pool->Values(0, slots, 1).view({1, 6}).equal(-keys));

  pool->Copy(first->index(), second->index(), 1);
  EXPECT_TRUE(pool->Keys(0, IdTensor({second->index()}, at::kCPU), 1).view({1, 6}).equal(keys));
  const int64_t freed = first->index();
  first.reset();
  EXPECT_EQ(KvPool::Take(pool)->index(), freed);
}

TEST(KvPoolTest, ASlotThatIsTakenAgainHasNothingOfItsFormerSequence) {
  const auto pool = std::make_shared<KvPool>(/*layers=*/2, /*heads=*/2, /*width=*/1, at::kCPU);
  auto poisoned = KvPool::Take(pool);
  const auto other = KvPool::Take(pool);
  pool->Reserve(4);
  const at::Tensor nan = at::full({4, 2}, std::nan(""), at::kFloat);
  const at::Tensor ones = at::ones({4, 2}, at::kFloat);
  for (int layer = 0; layer < 2; ++layer) {
    pool->Write(layer, poisoned->index(), nan, nan);
    pool->Write(layer, other->index(), ones, ones);
  }
  poisoned.reset();
  const auto again = KvPool::Take(pool);
  pool->Reserve(4);
  pool->Write(0, again->index(), ones.narrow(0, 0, 2), ones.narrow(0, 0, 2));
  const at::Tensor slots = IdTensor({again->index(), other->index()}, at::kCPU);
  for (int layer = 0; layer < 2; ++layer) {
    EXPECT_TRUE(pool->Keys(layer, slots, 4).isfinite().all().item<bool>()) << layer;
    EXPECT_TRUE(pool->Values(layer, slots, 4).isfinite().all().item<bool>()) << layer;
    EXPECT_TRUE(pool->Keys(layer, slots, 4).select(0, 1).eq(1).all().item<bool>()) << layer;
  }
  pool->Reserve(8);
  EXPECT_TRUE(pool->Keys(0, slots, 2).eq(1).all().item<bool>()) << "cleared once, not again";
}

TEST(KvPoolTest, WriteFillsPositionsInOrder) {
  const auto pool = std::make_shared<KvPool>(/*layers=*/2, /*heads=*/2, /*width=*/1, at::kCPU);
  const auto slot = KvPool::Take(pool);
  pool->Reserve(3);
  const at::Tensor keys = at::arange(6, at::kFloat).view({3, 2});  // [position, head]
  pool->Write(1, slot->index(), keys, keys);
  EXPECT_TRUE(pool->Keys(1, IdTensor({slot->index()}, at::kCPU), 3)
                  .select(0, 0)
                  .squeeze(2)
                  .equal(keys.t()));
}

}  // namespace
}  // namespace mellow::nn
