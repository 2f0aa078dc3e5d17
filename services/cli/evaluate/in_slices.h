#ifndef MELLOW_SERVICES_CLI_EVALUATE_IN_SLICES_H_
#define MELLOW_SERVICES_CLI_EVALUATE_IN_SLICES_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace mellow::cli {

// Calls work(begin, end) for slices of [0, count) of at most `slice`, on `threads` threads. The
// first error ends it and is returned; slices that have begun are finished.
[[nodiscard]] absl::Status InSlices(size_t count, size_t slice, int threads,
                                    const std::function<absl::Status(size_t, size_t)>& work);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_IN_SLICES_H_
