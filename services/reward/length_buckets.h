#ifndef MELLOW_SERVICES_REWARD_LENGTH_BUCKETS_H_
#define MELLOW_SERVICES_REWARD_LENGTH_BUCKETS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace mellow::reward {

// Cuts items into batches of similar length, shortest first: each batch, padded to its longest
// item, has at most `max_tokens` (a single longer item is a batch of its own). Returns the items'
// indices; each appears once. Equal lengths keep their order.
[[nodiscard]] std::vector<std::vector<size_t>> BucketByLength(absl::Span<const int64_t> lengths,
                                                              int64_t max_tokens);

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_LENGTH_BUCKETS_H_
