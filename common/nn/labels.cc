#include "common/nn/labels.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mellow::nn {

absl::StatusOr<int> ToxicLabel(const std::vector<std::string>& labels, const std::string& wanted) {
  const auto find = [&](const std::string& name) {
    const auto it = std::find(labels.begin(), labels.end(), name);
    return it == labels.end() ? -1 : static_cast<int>(it - labels.begin());
  };
  if (!wanted.empty()) {
    const int index = find(wanted);
    if (index >= 0) return index;
    return absl::InvalidArgumentError(
        absl::StrCat(wanted, ": the model's labels are ", absl::StrJoin(labels, ", ")));
  }
  for (const char* name : {"hate", "toxic", "toxicity", "LABEL_1"})
    if (const int index = find(name); index >= 0) return index;
  return static_cast<int>(labels.size()) - 1;
}

std::vector<float> Softmax(absl::Span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x) - top);
  std::vector<float> probabilities;
  for (float x : logits)
    probabilities.push_back(static_cast<float>(std::exp(static_cast<double>(x) - top) / sum));
  return probabilities;
}

}  // namespace mellow::nn
