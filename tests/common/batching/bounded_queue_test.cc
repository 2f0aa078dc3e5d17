#include "common/batching/bounded_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <thread>

namespace mellow::batching {
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
  std::vector<int> popped = {7};
  std::jthread popper([&] { popped = queue.PopBatch(1, absl::InfiniteDuration()); });
  queue.Close();
  popper.join();
  EXPECT_THAT(popped, IsEmpty());
}

TEST(BoundedQueueTest, ManyProducersLoseAndRepeatNothing) {
  constexpr int kProducers = 4;
  constexpr int kEach = 500;
  BoundedQueue<int> queue(64);
  std::vector<int> seen(kProducers * kEach, 0);
  std::jthread consumer([&] {
    while (true) {
      const std::vector<int> batch = queue.PopBatch(16, absl::Microseconds(50));
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
}  // namespace mellow::batching
