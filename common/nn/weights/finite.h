#ifndef MELLOW_COMMON_NN_WEIGHTS_FINITE_H_
#define MELLOW_COMMON_NN_WEIGHTS_FINITE_H_

// Numbers that are not finite, found where they come in (files) and where they would go out
// (answers).

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// Looks at every value, once. DataLoss: a tensor holds a NaN, an infinity, or a float64 that fp32
// cannot hold (named, with the place of the first). FailedPrecondition: a tensor is not of a float
// type (named), so that its values are not the weights themselves.
[[nodiscard]] absl::Status CheckWeights(const TensorMap& tensors);

// Checks what a model computed for one answer ("logits"). Internal: a value is not finite.
[[nodiscard]] absl::Status CheckComputed(absl::Span<const float> values, absl::string_view what);
[[nodiscard]] absl::Status CheckComputed(absl::Span<const std::vector<float>> rows,
                                         absl::string_view what);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_FINITE_H_
