#include "common/sync/in_batches.h"

#include <gtest/gtest.h>

#include <latch>
#include <new>
#include <set>

#include "common/sync/mutex.h"

namespace mellow {
namespace {

TEST(InBatchesTest, EveryItemIsInOneBatch) {
  Mutex mutex;
  std::multiset<size_t> seen;
  const absl::Status status = InBatches(10, 3, 4, [&](size_t begin, size_t end) {
    MutexLock lock(&mutex);
    EXPECT_LE(end - begin, 3u);
    for (size_t i = begin; i < end; ++i) seen.insert(i);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(seen, (std::multiset<size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(InBatchesTest, NothingIsNoCall) {
  const absl::Status status =
      InBatches(0, 3, 2, [](size_t, size_t) { return absl::InternalError("called"); });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(InBatchesTest, BatchesRunAtTheSameTime) {
  std::latch both(2);
  const absl::Status status = InBatches(2, 1, 2, [&](size_t, size_t) {
    both.arrive_and_wait();
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(InBatchesTest, TheFirstErrorEndsIt) {
  int calls = 0;
  const absl::Status status = InBatches(10, 1, 1, [&](size_t begin, size_t) -> absl::Status {
    ++calls;
    return begin == 2 ? absl::NotFoundError("the third") : absl::OkStatus();
  });
  EXPECT_EQ(status, absl::NotFoundError("the third"));
  EXPECT_EQ(calls, 3);
}

TEST(InBatchesTest, WhatIsThrownIsAnError) {
  const absl::Status status =
      InBatches(1, 1, 1, [](size_t, size_t) -> absl::Status { throw std::bad_alloc(); });
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace mellow
