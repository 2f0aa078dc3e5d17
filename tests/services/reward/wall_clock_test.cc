// A machine whose wall clock is set back while somebody waits. This program's clock_gettime()
// stands before libc's, for the libraries too.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <list>

#include "common/base/steady_time.h"
#include "common/sync/mutex.h"
#include "services/reward/bounded_queue.h"

namespace {

// From then on every reading of the wall clock is an hour earlier than the one before it.
std::atomic<bool> set_back = false;
std::atomic<int> readings = 0;

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME && set_back) time->tv_sec -= 3600 * (readings++);
  return static_cast<int>(result);
}

namespace mellow::reward {
namespace {

class WallClockTest : public ::testing::Test {
 protected:
  WallClockTest() { set_back = true; }
  ~WallClockTest() override { set_back = false; }
};

TEST_F(WallClockTest, IsTheOneThatThisTestSets) {
  const absl::Time before = absl::Now();
  EXPECT_LT(absl::Now(), before - absl::Minutes(59));
}

TEST_F(WallClockTest, ABatchIsNotWaitedForLongerWhenItIsSetBack) {
  BoundedQueue<int> queue(4);
  std::vector<int> one = {7};
  ASSERT_TRUE(queue.TryPushAll(&one).ok());
  EXPECT_EQ(queue.PopBatch(2, absl::Milliseconds(5)), std::list<int>{7});
}

TEST_F(WallClockTest, AWaitEndsWhenItIsSetBack) {
  Mutex mutex;
  CondVar never;
  MutexLock lock(&mutex);
  const SteadyTime begin = SteadyTime::Now();
  while (never.WaitFor(&mutex, absl::Milliseconds(5))) {
  }
  EXPECT_GE(SteadyTime::Now() - begin, absl::Milliseconds(5));
}

}  // namespace
}  // namespace mellow::reward
