#include "common/sync/mutex.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/base/steady_time.h"

namespace mellow {
namespace {

struct Box {
  Mutex mutex;
  CondVar changed;
  int value ABSL_GUARDED_BY(mutex) = 0;
};

TEST(MutexTest, KeepsOthersOut) {
  Box box;
  {
    std::jthread other([&box] {
      for (int i = 0; i < 10'000; ++i) {
        MutexLock lock(&box.mutex);
        ++box.value;
      }
    });
    for (int i = 0; i < 10'000; ++i) {
      MutexLock lock(&box.mutex);
      ++box.value;
    }
  }
  MutexLock lock(&box.mutex);
  EXPECT_EQ(box.value, 20'000);
}

TEST(CondVarTest, WaitSeesWhatTheNotifierWrote) {
  Box box;
  std::jthread other([&box] {
    {
      MutexLock lock(&box.mutex);
      box.value = 7;
    }
    box.changed.NotifyAll();
  });
  MutexLock lock(&box.mutex);
  while (box.value == 0) box.changed.Wait(&box.mutex);
  EXPECT_EQ(box.value, 7);
}

TEST(CondVarTest, ADeadlineInThePastReturnsAtOnce) {
  Box box;
  MutexLock lock(&box.mutex);
  EXPECT_FALSE(box.changed.WaitUntil(&box.mutex, SteadyTime::InfinitePast()));
  EXPECT_FALSE(box.changed.WaitFor(&box.mutex, absl::ZeroDuration()));
}

TEST(CondVarTest, AnInfiniteDeadlineWaitsForTheNotification) {
  Box box;
  std::jthread other([&box] {
    {
      MutexLock lock(&box.mutex);
      box.value = 1;
    }
    box.changed.NotifyOne();
  });
  MutexLock lock(&box.mutex);
  while (box.value == 0)
    EXPECT_TRUE(box.changed.WaitUntil(&box.mutex, SteadyTime::InfiniteFuture()));
}

}  // namespace
}  // namespace mellow
