#include "common/sync/workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <system_error>

#include "tests/testing/address_space_limit.h"

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

TEST(WorkersTest, AThreadThatCannotBeStartedIsAnErrorAndNoHang) {
  if (testing::kSanitized) GTEST_SKIP() << "sanitizers map memory themselves";
  const testing::AddressSpaceLimit limit(64 << 20);
  EXPECT_THROW(Workers(200), std::system_error);
}

}  // namespace
}  // namespace mellow
