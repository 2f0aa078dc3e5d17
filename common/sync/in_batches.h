#ifndef MELLOW_COMMON_SYNC_IN_BATCHES_H_
#define MELLOW_COMMON_SYNC_IN_BATCHES_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace mellow {

// Calls work(begin, end) for batches of [0, count) of at most `batch`, on `threads` threads that
// are joined before it returns. The first error, which may be something thrown (Caught), ends it
// and is returned; batches that have begun are finished.
[[nodiscard]] absl::Status InBatches(size_t count, size_t batch, int threads,
                                     const std::function<absl::Status(size_t, size_t)>& work);

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_IN_BATCHES_H_
