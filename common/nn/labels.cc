#include "common/nn/labels.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace mellow::nn {
namespace {

constexpr absl::string_view kToxicNames[] = {"abusive",     "hap",     "hate",
                                             "hate_speech", "hateful", "hatespeech",
                                             "offensive",   "toxic",   "toxicity"};

bool MeansToxic(const std::string& label) {
  const std::string name =
      absl::StrReplaceAll(absl::AsciiStrToLower(label), {{"-", "_"}, {" ", "_"}});
  return std::find(std::begin(kToxicNames), std::end(kToxicNames), name) != std::end(kToxicNames);
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

}  // namespace

absl::string_view ProblemTypeName(ProblemType type) {
  switch (type) {
    case ProblemType::kSingleLabel:
      return "single_label_classification";
    case ProblemType::kMultiLabel:
      return "multi_label_classification";
    case ProblemType::kRegression:
      return "regression";
  }
  return "";
}

std::vector<float> Probabilities(absl::Span<const float> logits, ProblemType type) {
  if (type == ProblemType::kSingleLabel) return Softmax(logits);
  std::vector<float> probabilities(logits.begin(), logits.end());
  if (type == ProblemType::kMultiLabel) {
    for (float& x : probabilities)
      x = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x))));
  }
  return probabilities;
}

absl::StatusOr<int> ToxicLabel(const std::vector<std::string>& labels, const std::string& wanted) {
  std::vector<std::string> found;
  size_t index = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (wanted.empty() ? !MeansToxic(labels[i]) : labels[i] != wanted) continue;
    found.push_back(labels[i]);
    index = i;
  }
  if (found.size() == 1) return static_cast<int>(index);
  const std::string all = absl::StrCat("the model's labels are ", absl::StrJoin(labels, ", "));
  if (!wanted.empty() && found.empty())
    return absl::InvalidArgumentError(absl::StrCat(wanted, ": ", all));
  if (!wanted.empty())
    return absl::InvalidArgumentError(absl::StrCat(wanted, ": two labels have this name: ", all));
  return absl::InvalidArgumentError(absl::StrCat(
      "must be given, because ", all, ", and ",
      found.empty() ? absl::StrCat("none has a name that is known to mean toxic (",
                                   absl::StrJoin(kToxicNames, ", "), ")")
                    : absl::StrCat(absl::StrJoin(found, " and "), " could both be meant")));
}

}  // namespace mellow::nn
