#ifndef MELLOW_COMMON_BASE_TOKEN_BUCKET_H_
#define MELLOW_COMMON_BASE_TOKEN_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace mellow {

// Lets `burst` through at once and `per_second` on average. Not thread-safe.
class TokenBucket {
 public:
  // Both positive; full at `now`.
  TokenBucket(double per_second, double burst, SteadyTime now)
      : per_second_(per_second), burst_(burst), filled_(burst), at_(now) {}

  // False: too many. What was refused costs nothing. More than `burst` at once is let through when
  // the bucket is full, and then paid for by a longer wait.
  [[nodiscard]] bool Take(SteadyTime now, double count = 1) {
    const double passed = std::max(0.0, absl::ToDoubleSeconds(now - at_));
    filled_ = std::min(burst_, filled_ + passed * per_second_);
    at_ = now;
    if (filled_ < std::min(count, burst_)) return false;
    filled_ -= count;
    return true;
  }

  // After a refusal: when Take will say yes, if nobody else takes.
  [[nodiscard]] absl::Duration Wait(double count = 1) const {
    return absl::Seconds((std::min(count, burst_) - filled_) / per_second_);
  }

 private:
  double per_second_;
  double burst_;
  double filled_;
  SteadyTime at_;
};

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_TOKEN_BUCKET_H_
