#ifndef MELLOW_COMMON_NN_LABELS_H_
#define MELLOW_COMMON_NN_LABELS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::nn {

// The index of `wanted`, or, when it is empty, of the label that means toxic: "hate", "toxic",
// "toxicity", "LABEL_1", else the last. InvalidArgument: `wanted` is not a label (names those there
// are).
[[nodiscard]] absl::StatusOr<int> ToxicLabel(const std::vector<std::string>& labels,
                                             const std::string& wanted);

[[nodiscard]] std::vector<float> Softmax(absl::Span<const float> logits);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LABELS_H_
