#include "services/review/rate_limiter.h"

#include "common/base/steady_time.h"

namespace mellow::review {

bool RateLimiter::Allow(int64_t key, SteadyTime now) {
  MutexLock lock(&mutex_);
  return buckets_.try_emplace(key, per_second_, burst_, now).first->second.Take(now);
}

}  // namespace mellow::review
