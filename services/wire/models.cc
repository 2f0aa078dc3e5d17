#include "services/wire/models.h"

#include "common/nn/weight_type.h"
#include "common/nn/weights/hub_cache.h"
#include "common/obs/log.h"

namespace mellow::wire {

CLI::Validator ModelFolder() {
  return CLI::Validator(
      [](std::string& model) -> std::string {
        absl::StatusOr<std::string> folder = nn::FindFolder(model);
        if (!folder.ok()) return std::string(folder.status().message());
        model = *std::move(folder);
        return "";
      },
      "");
}

CLI::Validator WeightTypeFlag() {
  return CLI::Validator(
      [](std::string& name) -> std::string {
        const absl::StatusOr<nn::WeightType> type = nn::ParseWeightType(name);
        if (!type.ok()) return std::string(type.status().message());
        name = std::string(nn::WeightTypeName(*type));
        return "";
      },
      "");
}

void LogModelWarnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings)
    obs::Log(obs::Severity::kWarning, "not everything of the model is known", {{"what", warning}});
}

}  // namespace mellow::wire
