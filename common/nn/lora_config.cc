#include "common/nn/lora_config.h"

#include <cmath>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"

namespace mellow::nn {
namespace {

template <typename T>
absl::Status Check(bool good, const char* field, T value, const char* wanted) {
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("lora.", field, ": ", value, ": must be ", wanted));
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
