#ifndef MELLOW_COMMON_NN_LABELS_H_
#define MELLOW_COMMON_NN_LABELS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow::nn {

// How probabilities follow from a classifier's logits, as transformers' text-classification
// pipeline decides it.
enum class ProblemType {
  kSingleLabel,  // labels exclude each other: softmax
  kMultiLabel,   // they do not, or there is only one: a sigmoid for each
  kRegression,   // none: the logits themselves
};

// transformers' name: "single_label_classification"...
[[nodiscard]] absl::string_view ProblemTypeName(ProblemType type);

// `logits` must not be empty.
[[nodiscard]] std::vector<float> Probabilities(absl::Span<const float> logits, ProblemType type);

// The index of `wanted`, or, when it is empty, of the one label whose name is known to mean toxic:
// abusive, hap (hate, abuse, profanity), hate, hate_speech, hateful, hatespeech, offensive, toxic,
// toxicity; upper and lower case are the same, and so are '_', '-' and a space. Nothing is guessed:
// InvalidArgument, which lists the labels, when `wanted` is none of them, and when it is empty and
// none or several have such a name.
[[nodiscard]] absl::StatusOr<int> ToxicLabel(const std::vector<std::string>& labels,
                                             const std::string& wanted);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LABELS_H_
