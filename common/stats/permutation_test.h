#ifndef MELLOW_COMMON_STATS_PERMUTATION_TEST_H_
#define MELLOW_COMMON_STATS_PERMUTATION_TEST_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::stats {

struct PermutationOptions {
  int permutations = 10000;
  uint64_t seed = 0;
};

// The two-sided p-value of the paired permutation test of a mean difference (Fisher's): under the
// null hypothesis that a pair's two values could as well be exchanged, how often is the mean of
// differences with random signs at least as far from 0 as the one observed (up to rounding)?
// All 2^n sign vectors are counted when they are not more than `permutations`; the p-value is then
// exact. Otherwise that many are drawn, by counter, and
//   p = (1 + as extreme ones) / (1 + permutations),
// because the observed one belongs to them (Phipson and Smyth, "Permutation p-values should never
// be zero", 2010). InvalidArgument: no difference, one that is not finite, no permutation.
[[nodiscard]] absl::StatusOr<double> PairedPermutationTest(absl::Span<const double> differences,
                                                           const PermutationOptions& options);

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_PERMUTATION_TEST_H_
