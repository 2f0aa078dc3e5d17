#ifndef MELLOW_COMMON_ADAPTERS_PEFT_CONFIG_H_
#define MELLOW_COMMON_ADAPTERS_PEFT_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/adapters/module_rules.h"
#include "common/nn/lora.h"

namespace mellow::adapters {

struct PeftConfig {
  nn::LoraConfig lora;  // without target_modules and module_alphas, which the tensors decide
  ModuleRules rules;
};

// adapter_config.json of PEFT up to 0.21. Every key is known: implemented, without effect on a
// model of bias-free linear layers, or refused. InvalidArgument, naming `name` and every field:
// peft_type other than LORA, a value of the wrong type or range, a field that changes the numbers
// in a way that is not implemented and is set, a key that is not known and is set ("set" is
// anything but null, false, 0, "", [] and {}).
[[nodiscard]] absl::StatusOr<PeftConfig> ParsePeftConfig(absl::string_view text,
                                                         absl::string_view name);

// The file's text, in the fields that every PEFT version since 0.6 knows and reads alike: ranks
// and alphas that differ go by full module names.
[[nodiscard]] std::string SerializePeftConfig(const nn::LoraWeights& lora);

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_PEFT_CONFIG_H_
