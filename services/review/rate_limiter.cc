#include "services/review/rate_limiter.h"

#include <algorithm>

namespace mellow::review {

bool RateLimiter::Allow(int64_t key, absl::Time now) {
  MutexLock lock(&mutex_);
  Bucket& bucket = buckets_.try_emplace(key, Bucket{burst_, now}).first->second;
  const double passed = std::max(0.0, absl::ToDoubleSeconds(now - bucket.at));
  bucket.filled = std::min(burst_, bucket.filled + passed * per_second_);
  bucket.at = now;
  if (bucket.filled < 1) return false;
  bucket.filled -= 1;
  return true;
}

}  // namespace mellow::review
