#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rl/ppo_config.h"
#include "nlohmann/json.hpp"

namespace mellow::rl {
namespace {

using Json = nlohmann::json;

absl::Status WrongType(const std::string& field, const Json& value, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value.dump(), ", must be ", wanted));
}

absl::Status Read(const std::string& field, const Json& value, double* out) {
  if (!value.is_number()) return WrongType(field, value, "a number");
  *out = value.get<double>();
  return absl::OkStatus();
}

absl::Status Read(const std::string& field, const Json& value, std::optional<double>* out) {
  double number = 0;
  MELLOW_RETURN_IF_ERROR(Read(field, value, &number));
  *out = number;
  return absl::OkStatus();
}

absl::Status Read(const std::string& field, const Json& value, bool* out) {
  if (!value.is_boolean()) return WrongType(field, value, "true or false");
  *out = value.get<bool>();
  return absl::OkStatus();
}

absl::Status Read(const std::string& field, const Json& value, std::string* out) {
  if (!value.is_string()) return WrongType(field, value, "a string");
  *out = value.get<std::string>();
  return absl::OkStatus();
}

// Proto JSON writes 64-bit integers as strings and accepts 4.0 for 4.
template <typename Integer>
absl::Status ReadInteger(const std::string& field, const Json& value, Integer* out) {
  constexpr auto kLow = static_cast<double>(std::numeric_limits<Integer>::min());
  constexpr auto kHigh = static_cast<double>(std::numeric_limits<Integer>::max());
  double number = std::numeric_limits<double>::quiet_NaN();
  if (value.is_number()) number = value.get<double>();
  int64_t parsed = 0;
  if (value.is_string() && absl::SimpleAtoi(value.get_ref<const std::string&>(), &parsed))
    number = static_cast<double>(parsed);
  if (!(number >= kLow && number <= kHigh) || number != std::floor(number))
    return WrongType(field, value, absl::StrCat("an integer from ", kLow, " to ", absl::StrCat(static_cast<int64_t>(kHigh))));
  *out = static_cast<Integer>(number);
  return absl::OkStatus();
}
absl::Status Read(const std::string& field, const Json& value, int* out) {
  return ReadInteger(field, value, out);
}
absl::Status Read(const std::string& field, const Json& value, uint32_t* out) {
  return ReadInteger(field, value, out);
}

absl::Status Read(const std::string& field, const Json& value, KlPenalty* out) {
  std::string name;
  MELLOW_RETURN_IF_ERROR(Read(field, value, &name));
  MELLOW_ASSIGN_OR_RETURN(*out, ParseKlPenalty(name));
  return absl::OkStatus();
}

absl::Status Read(const std::string& field, const Json& value, Reference* out) {
  std::string name;
  MELLOW_RETURN_IF_ERROR(Read(field, value, &name));
  MELLOW_ASSIGN_OR_RETURN(*out, ParseReference(name));
  return absl::OkStatus();
}

absl::Status Read(const std::string& field, const Json& value, std::vector<std::string>* out) {
  if (!value.is_array()) return WrongType(field, value, "a list of strings");
  out->clear();
  for (const Json& item : value) {
    if (!item.is_string()) return WrongType(field, item, "a list of strings");
    out->push_back(item.get<std::string>());
  }
  return absl::OkStatus();
}

// The fields of one message: name -> where its value goes.
class Fields {
 public:
  explicit Fields(std::string prefix = "") : prefix_(std::move(prefix)) {}

  template <typename T>
  void Add(const std::string& name, T* target) {
    readers_[name] = [full = prefix_ + name, target](const Json& value) {
      return Read(full, value, target);
    };
  }
  void AddMessage(const std::string& name, std::function<absl::Status(const Json&)> reader) {
    readers_[name] = std::move(reader);
  }

  absl::Status ReadAll(const Json& object) const {
    std::map<std::string, bool> seen;
    for (const auto& [key, value] : object.items()) {
      const std::string name = SnakeCase(key);
      const auto reader = readers_.find(name);
      if (reader == readers_.end())
        return absl::InvalidArgumentError(absl::StrCat("unknown field \"", prefix_, key, "\""));
      if (std::exchange(seen[name], true))
        return absl::InvalidArgumentError(absl::StrCat("field \"", prefix_, name, "\" given twice"));
      if (value.is_null()) continue;
      MELLOW_RETURN_IF_ERROR(reader->second(value));
    }
    return absl::OkStatus();
  }

 private:
  static std::string SnakeCase(const std::string& name) {
    std::string snake;
    for (const char c : name) {
      if (absl::ascii_isupper(c)) snake += '_';
      snake += absl::ascii_tolower(c);
    }
    return snake;
  }

  std::string prefix_;
  std::map<std::string, std::function<absl::Status(const Json&)>> readers_;
};

absl::Status ReadLora(const Json& value, std::optional<nn::LoraConfig>* out) {
  if (!value.is_object()) return WrongType("lora", value, "an object");
  nn::LoraConfig lora;
  lora.target_modules = {"q", "v"};
  Fields fields("lora.");
  fields.Add("r", &lora.r);
  fields.Add("lora_alpha", &lora.lora_alpha);
  fields.Add("lora_dropout", &lora.lora_dropout);
  fields.Add("use_rslora", &lora.use_rslora);
  fields.Add("target_modules", &lora.target_modules);
  MELLOW_RETURN_IF_ERROR(fields.ReadAll(value));
  *out = std::move(lora);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PpoConfig> ParsePpoConfig(absl::string_view json) {
  const Json object = Json::parse(json, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return absl::InvalidArgumentError("the PPO configuration is not a JSON object");
  PpoConfig c;
  Fields fields;
  fields.Add("seed", &c.seed);
  fields.Add("learning_rate", &c.learning_rate);
  fields.Add("adap_kl_ctrl", &c.adap_kl_ctrl);
  fields.Add("init_kl_coef", &c.init_kl_coef);
  fields.Add("kl_penalty", &c.kl_penalty);
  fields.Add("target", &c.target);
  fields.Add("horizon", &c.horizon);
  fields.Add("gamma", &c.gamma);
  fields.Add("lam", &c.lam);
  fields.Add("cliprange", &c.cliprange);
  fields.Add("cliprange_value", &c.cliprange_value);
  fields.Add("vf_coef", &c.vf_coef);
  fields.Add("batch_size", &c.batch_size);
  fields.Add("mini_batch_size", &c.mini_batch_size);
  fields.Add("gradient_accumulation_steps", &c.gradient_accumulation_steps);
  fields.Add("ppo_epochs", &c.ppo_epochs);
  fields.Add("max_grad_norm", &c.max_grad_norm);
  fields.Add("early_stopping", &c.early_stopping);
  fields.Add("target_kl", &c.target_kl);
  fields.Add("ratio_threshold", &c.ratio_threshold);
  fields.Add("whiten_rewards", &c.whiten_rewards);
  fields.Add("use_score_scaling", &c.use_score_scaling);
  fields.Add("use_score_norm", &c.use_score_norm);
  fields.Add("score_clip", &c.score_clip);
  fields.Add("missing_eos_penalty", &c.missing_eos_penalty);
  fields.Add("max_importance_weight", &c.max_importance_weight);
  fields.Add("trl_compat", &c.trl_compat);
  fields.Add("reference", &c.reference);
  fields.Add("value_head_file", &c.value_head_file);
  fields.AddMessage("lora", [&c](const Json& value) { return ReadLora(value, &c.lora); });
  MELLOW_RETURN_IF_ERROR(fields.ReadAll(object));
  MELLOW_RETURN_IF_ERROR(c.Validate());
  return c;
}

}  // namespace mellow::rl
