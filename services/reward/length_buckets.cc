#include "services/reward/length_buckets.h"

#include <algorithm>
#include <numeric>

namespace mellow::reward {

std::vector<std::vector<size_t>> BucketByLength(absl::Span<const int64_t> lengths,
                                                int64_t max_tokens) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] < lengths[b]; });
  std::vector<std::vector<size_t>> batches;
  for (size_t index : order) {
    // The newest item is the longest of its batch, so it sets the padded width.
    if (batches.empty() ||
        static_cast<int64_t>(batches.back().size() + 1) * lengths[index] > max_tokens)
      batches.emplace_back();
    batches.back().push_back(index);
  }
  return batches;
}

}  // namespace mellow::reward
