#ifndef MELLOW_COMMON_STATS_KRIPPENDORFF_H_
#define MELLOW_COMMON_STATS_KRIPPENDORFF_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::stats {

// How far two values are apart.
enum class AlphaLevel {
  kNominal,  // 0 when equal, else 1
  kOrdinal,  // by the number of values between them in the pooled data
};

// Krippendorff's alpha, the agreement of any number of raters with missing values: 1 is perfect, 0
// what chance gives, below 0 systematic disagreement. `units` has one entry for each thing that was
// rated: the values it got, in any order; units with fewer than two values tell nothing and are
// passed over.
//
// Formula: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section D and
// the difference functions of section E:
//   alpha = 1 - (n - 1) sum_ck o_ck d2_ck / sum_ck n_c n_k d2_ck,
//   o_ck = sum over units of (pairs c-k in the unit) / (values in the unit - 1),
//   n_c = sum_k o_ck, n = sum_c n_c,
//   ordinal: d_ck = sum of n_g over g from c to k, less (n_c + n_k) / 2.
//
// FailedPrecondition: alpha is not defined, because no unit has two values, or because all
// values are the same.
[[nodiscard]] absl::StatusOr<double> KrippendorffAlpha(absl::Span<const std::vector<int>> units,
                                                       AlphaLevel level);

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_KRIPPENDORFF_H_
