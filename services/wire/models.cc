#include "services/wire/models.h"

#include "common/nn/weight_type.h"
#include "common/nn/weights/hub_cache.h"

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

void AddModelFlags(CLI::App* app, const std::string& family, std::string* model,
                   std::string* device, int* threads, std::string* dtype) {
  app->add_option("--model", *model,
                  "Hugging Face " + family +
                      " folder (config.json, weights, tokenizer), or ORG/NAME[@REVISION] of the "
                      "Hub's cache")
      ->transform(ModelFolder())
      ->required();
  app->add_option("--device", *device, "auto, cpu or cuda:N");
  app->add_option("--threads", *threads, "Threads of the CPU engine (0: all cores)");
  app->add_option("--dtype", *dtype, "Weights: float32, bfloat16, float16 or int8")
      ->transform(WeightTypeFlag());
}

}  // namespace mellow::wire
