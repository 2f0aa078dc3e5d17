#include "common/adapters/peft_config.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/base/status.h"
#include "common/json/fields.h"

namespace mellow::adapters {
namespace {

using json::FieldReader;

constexpr int kMaxRank = 1 << 16;

// Read here or by ModuleRules.
constexpr const char* kRead[] = {
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "init_lora_weights",
    "bias",
    "fan_in_fan_out",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "peft_version",
};

// These say how the adapter was trained or is loaded, or are details of methods that another field
// turns on.
constexpr const char* kHarmless[] = {
    "auto_mapping",  "inference_mode", "runtime_config",    "megatron_core",
    "loftq_config",  "eva_config",     "corda_config",      "lora_ga_config",
    "velora_config", "merge_weights",  "qalora_group_size",
};

// Set, each of them changes what is computed or what is in the file.
constexpr const char* kUnsupported[] = {
    "use_dora",        "lora_bias",         "modules_to_save",
    "enable_lora",     "layer_replication", "target_parameters",
    "use_qalora",      "use_bdlora",        "trainable_token_indices",
    "arrow_config",    "kasa_config",       "alora_invocation_tokens",
    "megatron_config", "monteclora_config", "ensure_weight_tying",
};

template <size_t n>
bool Contains(const char* const (&names)[n], const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// What Python means by true.
bool IsSet(const json::Value& value) {
  if (value.is_bool()) return value.boolean();
  if (value.is_number()) return value.number() != 0;
  if (value.is_string()) return !value.string().empty();
  return !value.empty();
}

// Some initializations also change the base weights, which the adapter then expects; the others are
// history.
void CheckInitialization(FieldReader* fields) {
  constexpr char kField[] = "init_lora_weights";
  const json::Value* value = fields->Find(kField);
  if (value == nullptr || value->is_bool()) return;
  constexpr const char* kBaseStays[] = {"gaussian", "eva", "orthogonal", "mica"};
  for (const char* name : kBaseStays) {
    if (*value == name) return;
  }
  fields->Reject(kField,
                 "one that leaves the base weights alone: true, false, \"gaussian\", \"eva\", "
                 "\"orthogonal\" or \"mica\"");
}

// Biases are of layers that have some: a T5 has none. What a file holds all the same is compared
// with the base model.
void CheckBias(FieldReader* fields) {
  std::string bias = "none";
  fields->String("bias", &bias);
  if (bias != "none" && bias != "all" && bias != "lora_only")
    fields->Reject("bias", "none, all or lora_only");
  bool fan_in_fan_out = false;  // of layers that are not linear, which T5 has none of either
  fields->Bool("fan_in_fan_out", &fan_in_fan_out);
}

void CheckOtherKeys(const json::Value& object, FieldReader* fields) {
  for (const auto& [key, value] : object.members()) {
    if (Contains(kRead, key) || Contains(kHarmless, key) || !IsSet(value)) continue;
    fields->Reject(key.c_str(), Contains(kUnsupported, key)
                                    ? "it unset, because Mellow does not implement it"
                                    : "it unset, because Mellow does not know this key and cannot "
                                      "tell whether it changes the numbers");
  }
}

// A whole alpha as PEFT itself writes it.
json::Value Number(double value) {
  constexpr double kMaxWhole = 1e9;
  if (std::abs(value) <= kMaxWhole && std::trunc(value) == value)
    return static_cast<int64_t>(value);
  return value;
}

json::Value TextOrNull(const std::string& text) {
  return text.empty() ? json::Value() : json::Value(text);
}

}  // namespace

absl::StatusOr<PeftConfig> ParsePeftConfig(absl::string_view text, absl::string_view name) {
  MELLOW_ASSIGN_OR_RETURN(const json::Value object, json::ParseObject(text, name));
  FieldReader fields(object, name);
  std::string type;
  fields.String("peft_type", &type);
  if (type != "LORA") {
    // The fields of another method would only hide the reason.
    fields.Reject("peft_type", "LORA");
    return fields.Finish();
  }
  nn::LoraConfig config;
  fields.Int("r", 1, kMaxRank, &config.r);
  fields.Number("lora_alpha", 0, 1e9, &config.lora_alpha);
  fields.Number("lora_dropout", 0, 1, &config.lora_dropout);
  fields.Bool("use_rslora", &config.use_rslora);
  fields.String("base_model_name_or_path", &config.base_model_name_or_path);
  fields.String("revision", &config.revision);
  fields.String("task_type", &config.task_type);
  CheckInitialization(&fields);
  CheckBias(&fields);
  CheckOtherKeys(object, &fields);
  ModuleRules rules(&fields);
  MELLOW_RETURN_IF_ERROR(fields.Finish());
  return PeftConfig{std::move(config), std::move(rules)};
}

std::string SerializePeftConfig(const nn::LoraWeights& lora) {
  const nn::LoraConfig& config = lora.config;
  json::Value ranks = json::Value::MakeObject();
  for (const auto& [module, pair] : lora.modules) {
    if (!pair.a.shape.empty() && pair.a.shape[0] != config.r) ranks.Add(module, pair.a.shape[0]);
  }
  json::Value alphas = json::Value::MakeObject();
  for (const auto& [module, alpha] : config.module_alphas) alphas.Add(module, Number(alpha));
  const json::Value object = {
      {"alpha_pattern", std::move(alphas)},
      {"base_model_name_or_path", config.base_model_name_or_path},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"lora_alpha", Number(config.lora_alpha)},
      {"lora_dropout", config.lora_dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", config.r},
      {"rank_pattern", std::move(ranks)},
      {"revision", TextOrNull(config.revision)},
      {"target_modules", config.target_modules},
      {"task_type", config.task_type},
      {"use_rslora", config.use_rslora},
  };
  return json::Write(object, {.indentation = 2}) + "\n";
}

}  // namespace mellow::adapters
