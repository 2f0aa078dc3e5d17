#include "common/nn/lora.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/nn/weights/model_folder.h"

namespace mellow::nn {
namespace {

// The model's tensor that `copy` is one of: of the same name, or of one that T5 ties to it and
// files keep once. Null: it has none.
const HostTensor* OriginalOf(const std::string& copy, const TensorMap& model) {
  const std::string name = absl::StrReplaceAll(copy, {{".base_layer.", "."}});
  if (const auto it = model.find(name); it != model.end()) return &it->second;
  constexpr const char* kTied[] = {"shared.weight", "encoder.embed_tokens.weight",
                                   "decoder.embed_tokens.weight", "lm_head.weight"};
  if (std::find(std::begin(kTied), std::end(kTied), name) == std::end(kTied)) return nullptr;
  for (const char* tied : kTied) {
    if (const auto it = model.find(tied); it != model.end()) return &it->second;
  }
  return nullptr;
}

// How the copy differs; empty when it does not.
std::string DifferenceOf(const HostTensor& copy, const HostTensor* original) {
  if (original == nullptr) return "is no tensor of the model";
  if (copy.shape != original->shape)
    return absl::StrCat("is ", ShapeString(copy.shape), ", the model has ",
                        ShapeString(original->shape));
  if (copy.dtype == original->dtype && copy.bytes == original->bytes) return "";
  const std::vector<float> a = copy.ToFloat32();
  const std::vector<float> b = original->ToFloat32();
  size_t different = 0;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    ++different;
    largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  }
  if (different == 0) return "";
  return absl::StrCat("differs from the model's in ", different, " of ", a.size(),
                      " numbers (by up to ", largest, ")");
}

}  // namespace

absl::Status CheckBaseCopies(const std::string& model_folder, const LoraWeights& lora) {
  if (lora.base_copies.empty()) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(const TensorMap model, LoadModelTensors(model_folder));
  std::vector<std::string> problems;
  for (const auto& [name, copy] : lora.base_copies) {
    const std::string difference = DifferenceOf(copy, OriginalOf(name, model));
    if (!difference.empty()) problems.push_back(absl::StrCat(name, " ", difference));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the adapter holds tensors of its base model, and they are not those of ",
                   model_folder, ": ", absl::StrJoin(problems, "; ")));
}

}  // namespace mellow::nn
