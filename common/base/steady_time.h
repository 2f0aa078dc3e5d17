#ifndef MELLOW_COMMON_BASE_STEADY_TIME_H_
#define MELLOW_COMMON_BASE_STEADY_TIME_H_

#include <chrono>
#include <compare>

#include "absl/time/time.h"

namespace mellow {

// A moment of the steady clock, which nobody sets: for everything that is measured or waited for.
// absl::Time is the wall clock, which is set back and forth while the process runs; it is for what
// people read. The two do not convert into each other. Saturates as absl::Duration does.
class SteadyTime {
 public:
  // The clock's own zero.
  constexpr SteadyTime() = default;
  // `since_zero` of the clock: in tests.
  constexpr explicit SteadyTime(absl::Duration since_zero) : since_zero_(since_zero) {}

  static SteadyTime Now() {
    return SteadyTime(absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()));
  }
  static constexpr SteadyTime InfiniteFuture() { return SteadyTime(absl::InfiniteDuration()); }
  static constexpr SteadyTime InfinitePast() { return SteadyTime(-absl::InfiniteDuration()); }

  std::chrono::steady_clock::time_point ToChrono() const {
    return std::chrono::steady_clock::time_point(absl::ToChronoNanoseconds(since_zero_));
  }

  friend SteadyTime operator+(SteadyTime time, absl::Duration d) {
    return SteadyTime(time.since_zero_ + d);
  }
  friend SteadyTime operator-(SteadyTime time, absl::Duration d) {
    return SteadyTime(time.since_zero_ - d);
  }
  friend absl::Duration operator-(SteadyTime a, SteadyTime b) {
    return a.since_zero_ - b.since_zero_;
  }
  SteadyTime& operator+=(absl::Duration d) { return *this = *this + d; }
  friend bool operator==(SteadyTime a, SteadyTime b) { return a.since_zero_ == b.since_zero_; }
  friend std::weak_ordering operator<=>(SteadyTime a, SteadyTime b) {
    if (a.since_zero_ < b.since_zero_) return std::weak_ordering::less;
    return a.since_zero_ == b.since_zero_ ? std::weak_ordering::equivalent
                                          : std::weak_ordering::greater;
  }

 private:
  absl::Duration since_zero_;
};

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_STEADY_TIME_H_
