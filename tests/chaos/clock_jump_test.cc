// Waits when the clock is set back, under the fault shim (CMakeLists.txt preloads it).

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/sync/clock_watch.h"
#include "common/sync/mutex.h"

namespace mellow {
namespace {

// The first field of fault_control.py's file, in nanoseconds.
std::atomic<int64_t>& ClockOffset() {
  static auto* offset = [] {
    const int fd = open(std::getenv("MELLOW_FAULTS"), O_RDWR | O_CLOEXEC);
    void* mapped = mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    EXPECT_NE(mapped, MAP_FAILED);
    return static_cast<std::atomic<int64_t>*>(mapped);
  }();
  return *offset;
}

constexpr int64_t kHour = 3'600'000'000'000;

// Returns when absl::Now() has noticed; it looks at the clock every few seconds.
void SetClockAhead(int64_t offset) {
  const absl::Time before = absl::Now();
  ClockOffset() = offset;
  while (absl::AbsDuration(absl::Now() - before) < absl::Minutes(59)) std::this_thread::yield();
}

class ClockJumpTest : public ::testing::Test {
 protected:
  ~ClockJumpTest() override { ClockOffset() = 0; }
};

TEST_F(ClockJumpTest, TheShimMovesTheClock) {
  const absl::Time before = absl::Now();
  SetClockAhead(-kHour);
  EXPECT_LT(absl::Now(), before - absl::Minutes(59));
}

TEST_F(ClockJumpTest, AWaitEndsInTimeWhenTheClockIsSetBackMeanwhile) {
  Mutex mutex;
  CondVar never;
  bool waits = false;
  SetClockAhead(kHour);
  const auto begin = std::chrono::steady_clock::now();
  std::jthread waiter([&] {
    MutexLock lock(&mutex);
    waits = true;
    EXPECT_FALSE(never.WaitFor(&mutex, absl::Milliseconds(300)));
  });
  while (true) {
    MutexLock lock(&mutex);
    if (waits) break;  // and has given the mutex away to wait
    std::this_thread::yield();
  }
  ClockOffset() = 0;
  waiter.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(ClockJumpTest, TheWatchTellsByHowMuchTheClockWasSetBack) {
  Mutex mutex;
  CondVar told_cv;
  std::vector<absl::Duration> told;
  const ClockWatch watch(absl::Seconds(10), [&](absl::Duration by) {
    {
      MutexLock lock(&mutex);
      told.push_back(by);
    }
    told_cv.NotifyAll();
  });
  MutexLock lock(&mutex);
  // Ahead long enough for the watch to see it, then back.
  while (told.empty()) {
    ClockOffset() = ClockOffset() > 0 ? 0 : kHour;
    told_cv.WaitFor(&mutex, absl::Milliseconds(1500));
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(told[0]), 3600, 1);
}

}  // namespace
}  // namespace mellow
