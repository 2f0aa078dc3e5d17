#ifndef MELLOW_COMMON_RL_MASKED_H_
#define MELLOW_COMMON_RL_MASKED_H_

// Means, variances and whitening over the counted positions of ragged rows. Sums are accumulated in
// double, in row order, so they do not depend on threads. Precondition of all: every argument has
// the mask's shape.

#include <cstdint>
#include <functional>

#include "absl/types/span.h"
#include "common/rl/rows.h"

namespace mellow::rl {

// The mask of responses of these lengths (without the start token): every position counts, except
// that with `skip_first_token` position 0 of each row does not (TRL 0.11.3 loses the first
// generated token of an encoder-decoder).
[[nodiscard]] MaskRows ResponseMask(absl::Span<const int64_t> lengths, bool skip_first_token);

[[nodiscard]] int64_t CountMask(const MaskRows& mask);

// Sum of term(row, position) over the counted positions.
[[nodiscard]] double MaskedSum(const MaskRows& mask,
                               const std::function<double(size_t row, size_t t)>& term);
// Their mean; 0 when nothing counts.
[[nodiscard]] double MaskedMean(const MaskRows& mask,
                                const std::function<double(size_t row, size_t t)>& term);
[[nodiscard]] double MaskedMean(const Rows& x, const MaskRows& mask);
// Unbiased (divided by N - 1); 0 when fewer than two positions count.
[[nodiscard]] double MaskedVariance(const Rows& x, const MaskRows& mask);

// y = (x - mean) / sqrt(variance + 1e-8) at counted positions, 0 elsewhere; with `keep_mean` the
// mean is added back. With fewer than two counted positions there is no variance: only the mean is
// taken out (or kept).
[[nodiscard]] Rows Whiten(const Rows& x, const MaskRows& mask, bool keep_mean);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_MASKED_H_
