#include "services/reward/bounded_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <numeric>
#include <thread>

namespace mellow::reward {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::Status Push(BoundedQueue<int>* queue, std::vector<int> items) {
  return queue->TryPushAll(&items);
}

TEST(BoundedQueueTest, PopsInOrderUpToTheLimit) {
  BoundedQueue<int> queue(8);
  ASSERT_TRUE(Push(&queue, {1, 2, 3}).ok());
  EXPECT_THAT(queue.PopBatch(2, absl::ZeroDuration()), ElementsAre(1, 2));
  EXPECT_THAT(queue.PopBatch(2, absl::ZeroDuration()), ElementsAre(3));
}

TEST(BoundedQueueTest, TakesAllItemsOrNone) {
  BoundedQueue<int> queue(3);
  ASSERT_TRUE(Push(&queue, {1, 2}).ok());
  std::vector<int> more = {3, 4};
  EXPECT_EQ(queue.TryPushAll(&more).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(more, ElementsAre(3, 4)) << "the caller keeps what was refused";
  EXPECT_EQ(queue.size(), 2u);
}

TEST(BoundedQueueTest, CloseDrainsThenReturnsEmpty) {
  BoundedQueue<int> queue(3);
  ASSERT_TRUE(Push(&queue, {1}).ok());
  queue.Close();
  EXPECT_EQ(Push(&queue, {2}).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(queue.PopBatch(8, absl::InfiniteDuration()), ElementsAre(1));
  EXPECT_THAT(queue.PopBatch(8, absl::InfiniteDuration()), IsEmpty());
}

TEST(BoundedQueueTest, CloseWakesAWaitingPop) {
  BoundedQueue<int> queue(3);
  std::list<int> popped = {7};
  std::jthread popper([&] { popped = queue.PopBatch(1, absl::InfiniteDuration()); });
  queue.Close();
  popper.join();
  EXPECT_THAT(popped, IsEmpty());
}

TEST(BoundedQueueTest, LanesHaveTheirOwnRoomAndTakeTurns) {
  BoundedQueue<int> queue(3, /*lanes=*/2);
  std::vector<int> items = {1, 2, 3};
  ASSERT_TRUE(queue.TryPushAll(&items, 0).ok());
  items = {4};
  EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPushAll(&items, 0)));
  items = {5, 6};
  ASSERT_TRUE(queue.TryPushAll(&items, 1).ok());
  EXPECT_EQ(queue.size(), 5u);
  EXPECT_THAT(queue.PopBatch(4, absl::ZeroDuration()), ElementsAre(1, 5, 2, 6));
  EXPECT_THAT(queue.PopBatch(4, absl::ZeroDuration()), ElementsAre(3));
}

TEST(BoundedQueueTest, ReservedPlacesAreTakenAndGivenBack) {
  BoundedQueue<int> queue(3);
  ASSERT_TRUE(queue.Reserve(2, 0).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.Reserve(2, 0)));
  std::vector<int> items = {1, 2};
  EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPushAll(&items)));
  ASSERT_TRUE(queue.TryPushAll(&items, 0, /*reserved=*/true).ok());
  ASSERT_TRUE(queue.Reserve(1, 0).ok());
  queue.Release(1, 0);
  queue.Close();
  items = {3};
  EXPECT_TRUE(absl::IsUnavailable(queue.TryPushAll(&items)));
  EXPECT_THAT(queue.PopBatch(4, absl::ZeroDuration()), ElementsAre(1, 2));
}

TEST(BoundedQueueTest, ManyProducersLoseAndRepeatNothing) {
  constexpr int kProducers = 4;
  constexpr int kEach = 500;
  BoundedQueue<int> queue(64);
  std::vector<int> seen(kProducers * kEach, 0);
  std::jthread consumer([&] {
    while (true) {
      const std::list<int> batch = queue.PopBatch(16, absl::Microseconds(50));
      if (batch.empty()) return;
      for (int item : batch) ++seen[item];
    }
  });
  {
    std::vector<std::jthread> producers;
    for (int p = 0; p < kProducers; ++p) {
      producers.emplace_back([&queue, p] {
        for (int i = 0; i < kEach; ++i) {
          while (!Push(&queue, {p * kEach + i}).ok()) std::this_thread::yield();
        }
      });
    }
  }
  queue.Close();
  consumer.join();
  EXPECT_THAT(seen, ::testing::Each(1));
}

}  // namespace
}  // namespace mellow::reward
