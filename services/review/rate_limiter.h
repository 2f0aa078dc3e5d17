#ifndef MELLOW_SERVICES_REVIEW_RATE_LIMITER_H_
#define MELLOW_SERVICES_REVIEW_RATE_LIMITER_H_

#include <cstdint>
#include <map>

#include "common/base/steady_time.h"
#include "common/base/token_bucket.h"
#include "common/sync/mutex.h"

namespace mellow::review {

// A token bucket for each key. Thread-safe. Keys stay forever: use numbers that are few.
class RateLimiter {
 public:
  // `burst` at once, then `per_second`; both positive.
  RateLimiter(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

  // False: too many. What was refused costs nothing.
  [[nodiscard]] bool Allow(int64_t key, SteadyTime now);

 private:
  const double per_second_;
  const double burst_;
  Mutex mutex_;
  std::map<int64_t, TokenBucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::review

#endif  // MELLOW_SERVICES_REVIEW_RATE_LIMITER_H_
