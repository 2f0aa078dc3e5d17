#include "common/adapters/peft_config.h"

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/status.h"
#include "common/nn/weights/json_fields.h"

namespace mellow::adapters {
namespace {

using nlohmann::json;
using nn::JsonFields;

constexpr int kMaxRank = 1 << 16;
constexpr size_t kMaxTargets = 10'000;

// Set, each of them changes what is computed or what is in the file. "Set" is anything but what
// Python means by false: null, false, 0, "", [] and {}.
constexpr const char* kUnsupported[] = {
    "use_dora",        "lora_bias",         "rank_pattern",      "alpha_pattern",
    "modules_to_save", "layer_replication", "fan_in_fan_out",    "layers_to_transform",
    "layers_pattern",  "exclude_modules",   "target_parameters", "trainable_token_indices",
    "use_qalora",      "use_bdlora",        "arrow_config",      "alora_invocation_tokens",
};

bool IsSet(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();
}

void ReadTargets(JsonFields* fields, std::vector<std::string>* targets) {
  constexpr char kField[] = "target_modules";
  constexpr char kExpected[] = "a list of module names (regular expressions are not supported)";
  const json* list = fields->Find(kField);
  if (list == nullptr || !list->is_array() || list->empty() || list->size() > kMaxTargets)
    return fields->Reject(kField, kExpected);
  std::set<std::string> names;  // PEFT writes a Python set, in any order
  for (const json& name : *list) {
    if (!name.is_string() || name.get_ref<const std::string&>().empty())
      return fields->Reject(kField, kExpected);
    names.insert(name.get<std::string>());
  }
  targets->assign(names.begin(), names.end());
}

// Some initialisations also change the base weights, which the adapter then expects; the others are
// history.
void CheckInitialisation(JsonFields* fields) {
  constexpr char kField[] = "init_lora_weights";
  const json* value = fields->Find(kField);
  if (value == nullptr || value->is_boolean()) return;
  constexpr const char* kHarmless[] = {"gaussian", "eva", "orthogonal"};
  for (const char* name : kHarmless) {
    if (*value == name) return;
  }
  fields->Reject(kField,
                 "one that leaves the base weights alone: true, false, \"gaussian\", \"eva\" or "
                 "\"orthogonal\"");
}

void CheckVariants(JsonFields* fields) {
  std::string type;
  fields->String("peft_type", &type);
  if (type != "LORA") fields->Reject("peft_type", "LORA");
  std::string bias = "none";
  fields->String("bias", &bias);
  if (bias != "none") fields->Reject("bias", "none");
  for (const char* field : kUnsupported) {
    const json* value = fields->Find(field);
    if (value != nullptr && IsSet(*value))
      fields->Reject(field, "it unset, because Mellow does not implement it");
  }
}

}  // namespace

absl::StatusOr<nn::LoraConfig> ParsePeftConfig(absl::string_view text, absl::string_view name) {
  MELLOW_ASSIGN_OR_RETURN(const json object, nn::ParseJsonObject(text, name));
  JsonFields fields(object);
  nn::LoraConfig config;
  fields.Int("r", 1, kMaxRank, &config.r);
  fields.Number("lora_alpha", 0, 1e9, &config.lora_alpha);
  fields.Number("lora_dropout", 0, 1, &config.lora_dropout);
  fields.Bool("use_rslora", &config.use_rslora);
  CheckInitialisation(&fields);
  fields.String("base_model_name_or_path", &config.base_model_name_or_path);
  fields.String("task_type", &config.task_type);
  CheckVariants(&fields);
  ReadTargets(&fields, &config.target_modules);
  MELLOW_RETURN_IF_ERROR(fields.Finish(name));
  return config;
}

std::string SerializePeftConfig(const nn::LoraConfig& config) {
  nlohmann::ordered_json object = {
      {"base_model_name_or_path", config.base_model_name_or_path},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"lora_alpha", config.lora_alpha},
      {"lora_dropout", config.lora_dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", config.r},
      {"target_modules", config.target_modules},
      {"task_type", config.task_type},
      {"use_rslora", config.use_rslora},
  };
  // A whole alpha as PEFT itself writes it.
  constexpr double kMaxWhole = 1e9;
  if (std::abs(config.lora_alpha) <= kMaxWhole &&
      std::trunc(config.lora_alpha) == config.lora_alpha)
    object["lora_alpha"] = static_cast<int64_t>(config.lora_alpha);
  return object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace mellow::adapters
