#include "common/sync/workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace mellow {
namespace {

using ::testing::ElementsAre;

TEST(WorkersTest, AnswersGoBeforeRequestsAndEachInOrder) {
  std::vector<int> order;
  {
    Workers workers(1);
    std::promise<void> hold;
    workers.Add(Workers::Urgency::kRequest, [held = hold.get_future().share()] { held.get(); });
    for (int i = 0; i < 2; ++i)
      workers.Add(Workers::Urgency::kRequest, [&order, i] { order.push_back(i); });
    for (int i = 10; i < 12; ++i)
      workers.Add(Workers::Urgency::kAnswer, [&order, i] { order.push_back(i); });
    hold.set_value();
  }
  EXPECT_THAT(order, ElementsAre(10, 11, 0, 1));
}

TEST(WorkersTest, TheEndRunsWhatWasAdded) {
  std::atomic<int> done = 0;
  {
    Workers workers(3);
    for (int i = 0; i < 100; ++i) workers.Add(Workers::Urgency::kRequest, [&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace mellow
