#include "common/nn/lora.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/nn/weights/model_folder.h"

namespace mellow::nn {
namespace {

template <typename T>
absl::Status Check(bool good, const char* field, T value, const char* wanted) {
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("lora.", field, ": ", value, ": must be ", wanted));
}

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

double LoraConfig::ScalingOf(const std::string& module, int64_t rank) const {
  const auto it = module_alphas.find(module);
  const double alpha = it == module_alphas.end() ? lora_alpha : it->second;
  return alpha / (use_rslora ? std::sqrt(rank) : static_cast<double>(rank));
}

// Comparisons are written so that NaN fails.
absl::Status LoraConfig::Validate() const {
  MELLOW_RETURN_IF_ERROR(Check(r >= 1 && r <= 4096, "r", r, "from 1 to 4096"));
  MELLOW_RETURN_IF_ERROR(
      Check(lora_alpha > 0 && lora_alpha <= 1e9, "lora_alpha", lora_alpha, "above 0, at most 1e9"));
  MELLOW_RETURN_IF_ERROR(Check(lora_dropout >= 0 && lora_dropout < 1, "lora_dropout", lora_dropout,
                               "at least 0 and below 1"));
  return Check(!target_modules.empty(), "target_modules", "[]", "not empty");
}

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

bool LooksLikeHubId(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (parts.size() > 2) return false;
  for (const std::string& part : parts) {
    if (part.empty() || part[0] == '.') return false;
    for (const char c : part) {
      if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') return false;
    }
  }
  std::error_code ignored;
  return !std::filesystem::exists(name, ignored);
}

void NameBaseModel(const std::string& model_folder, LoraConfig* config) {
  std::string path = model_folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (parts.size() >= 3 && parts[parts.size() - 2] == "snapshots") {
    absl::string_view repository = parts[parts.size() - 3];
    if (absl::ConsumePrefix(&repository, "models--")) {
      const std::vector<std::string> names = absl::StrSplit(repository, absl::MaxSplits("--", 1));
      config->base_model_name_or_path = absl::StrJoin(names, "/");
      config->revision = parts.back();
      return;
    }
  }
  if (absl::StrContains(config->base_model_name_or_path, '/') &&
      LooksLikeHubId(config->base_model_name_or_path))
    return;
  config->base_model_name_or_path = model_folder;
  config->revision.clear();
}

}  // namespace mellow::nn
