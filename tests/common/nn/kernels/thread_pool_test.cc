#include "common/nn/kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <set>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/testing/address_space_limit.h"

namespace mellow {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, RunsEveryIndexOnce) {
  ThreadPool pool(GetParam());
  for (const int count : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<int> calls(static_cast<size_t>(count),
                           0);  // plain ints: Run itself must order the writes
    pool.Run(count, [&](int i) { ++calls[static_cast<size_t>(i)]; });
    for (int i = 0; i < count; ++i)
      ASSERT_EQ(calls[static_cast<size_t>(i)], 1) << i << " of " << count;
  }
}

TEST_P(ThreadPoolTest, ManyShortJobsInARowSeeEachOthersResults) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> values(5, 0);
  for (int job = 0; job < 3000; ++job) {
    pool.Run(5, [&](int i) { values[static_cast<size_t>(i)] += i; });
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], 3000 * i);
}

TEST_P(ThreadPoolTest, ATaskMayThrowAndThePoolGoesOn) {
  ThreadPool pool(GetParam());
  for (int job = 0; job < 100; ++job) {
    EXPECT_THROW(pool.Run(20,
                          [&](int i) {
                            if (i % 7 == 3) throw std::runtime_error("of a task");
                          }),
                 std::runtime_error);
    std::atomic<int> calls{0};
    pool.Run(20, [&](int) { ++calls; });
    ASSERT_EQ(calls, 20);
  }
}

TEST_P(ThreadPoolTest, ConcurrentRunsTakeTurns) {
  ThreadPool pool(GetParam());
  std::atomic<int> running{0};
  std::vector<std::vector<int>> calls(4, std::vector<int>(50, 0));
  {
    std::vector<std::jthread> callers;
    for (size_t caller = 0; caller < calls.size(); ++caller) {
      callers.emplace_back([&, caller] {
        for (int round = 0; round < 100; ++round) {
          // Only one job at a time: the counter belongs to the job whose tasks run.
          pool.Run(50, [&](int i) {
            running.fetch_add(1);
            ++calls[caller][static_cast<size_t>(i)];
            running.fetch_sub(1);
          });
        }
      });
    }
  }
  EXPECT_EQ(running.load(), 0);
  for (const auto& counts : calls) {
    for (const int count : counts) ASSERT_EQ(count, 100);
  }
}

TEST_P(ThreadPoolTest, TasksMayUseAnotherPool) {
  ThreadPool outer(GetParam());
  ThreadPool inner(2);
  std::vector<std::vector<int>> calls(6, std::vector<int>(9, 0));
  outer.Run(6, [&](int i) {
    inner.Run(9, [&](int j) { ++calls[static_cast<size_t>(i)][static_cast<size_t>(j)]; });
  });
  for (const auto& counts : calls) EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 9);
}

TEST_P(ThreadPoolTest, CanBeDestroyedWithoutWorkAndRightAfterWork) {
  for (int i = 0; i < 20; ++i) {
    ThreadPool unused(GetParam());
    ThreadPool used(GetParam());
    std::atomic<int> calls{0};
    used.Run(3, [&](int) { calls.fetch_add(1); });
    EXPECT_EQ(calls.load(), 3);
  }
}

// A worker that was about to look at a job when the pool went away slept forever, once in some
// hundred pools of more threads than cores.
TEST_P(ThreadPoolTest, CanBeDestroyedWhileItsWorkersWakeUp) {
  for (int i = 0; i < 3000; ++i) {
    ThreadPool pool(GetParam());
    pool.Run(3, [](int) {});
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolTest, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPoolSizeTest, AThreadThatCannotBeStartedIsAnErrorAndNoHang) {
  if (testing::kSanitized) GTEST_SKIP() << "sanitizers map memory themselves";
  const testing::AddressSpaceLimit limit(64 << 20);
  EXPECT_THROW(ThreadPool(200), std::system_error);
}

TEST(ThreadPoolSizeTest, CountsTheCaller) {
  EXPECT_EQ(ThreadPool(1).size(), 1);
  EXPECT_EQ(ThreadPool(4).size(), 4);
  EXPECT_EQ(ThreadPool(0).size(), 1);
  EXPECT_EQ(ThreadPool(-3).size(), 1);
}

TEST(ThreadPoolSizeTest, APoolOfOneRunsInOrderOnTheCaller) {
  ThreadPool pool(1);
  std::vector<int> order;
  std::set<std::thread::id> threads;
  pool.Run(4, [&](int i) {
    order.push_back(i);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(threads, std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST(ThreadPoolSizeTest, TheLargestJobRunsEveryIndex) {
  constexpr int kCount = (1 << 19) - 1;
  ThreadPool pool(3);
  std::vector<uint8_t> calls(kCount, 0);
  pool.Run(kCount, [&](int i) { ++calls[static_cast<size_t>(i)]; });
  EXPECT_EQ(std::count(calls.begin(), calls.end(), 1), kCount);
}

}  // namespace
}  // namespace mellow
