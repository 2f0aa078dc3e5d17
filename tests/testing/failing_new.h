#ifndef MELLOW_TESTS_TESTING_FAILING_NEW_H_
#define MELLOW_TESTS_TESTING_FAILING_NEW_H_

// In the place of everybody's operator new: one that fails when a test says so. For one file of a
// program of its own.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "absl/base/attributes.h"

namespace mellow::testing {

// Lets one allocation of the calling thread fail: the `at`-th from now on (1: the next).
class FailingNew {
 public:
  static void Arm(int64_t at) {
    left_ = at;
    armed_in_ = round_.load();
  }
  // In all threads.
  static void Disarm() { ++round_; }
  // Failures so far.
  static int64_t failures() { return failures_.load(); }
  // Allocations of the calling thread so far, those that failed too.
  static int64_t allocations() { return allocations_; }

  static bool FailsNow() {
    ++allocations_;
    if (left_ == 0 || armed_in_ != round_.load() || --left_ != 0) return false;
    ++failures_;
    return true;
  }

 private:
  static inline std::atomic<int64_t> round_ = 0;
  static inline std::atomic<int64_t> failures_ = 0;
  static inline thread_local int64_t allocations_ = 0;
  static inline thread_local int64_t left_ = 0;
  static inline thread_local int64_t armed_in_ = 0;
};

}  // namespace mellow::testing

// Inlined, one half without the other, they look like a mistake to GCC.
ABSL_ATTRIBUTE_NOINLINE void* operator new(size_t bytes) {
  void* block = mellow::testing::FailingNew::FailsNow() ? nullptr : std::malloc(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
// A sanitizer's own would not be the other half of our delete.
ABSL_ATTRIBUTE_NOINLINE void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return mellow::testing::FailingNew::FailsNow() ? nullptr : std::malloc(bytes);
}
ABSL_ATTRIBUTE_NOINLINE void operator delete(void* block) noexcept { std::free(block); }
ABSL_ATTRIBUTE_NOINLINE void operator delete(void* block, size_t) noexcept { std::free(block); }

// gRPC and protobuf are made without exceptions in mind: what they had when one passed through them
// is lost, a few bytes each time. LeakSanitizer shall look for ours.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:gpr_malloc\nleak:google::protobuf::Arena::CreateMaybeMessage\n";
}

#endif  // MELLOW_TESTS_TESTING_FAILING_NEW_H_
