#ifndef MELLOW_COMMON_ADAPTERS_PEFT_CONFIG_H_
#define MELLOW_COMMON_ADAPTERS_PEFT_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/nn/lora.h"

namespace mellow::adapters {

// adapter_config.json of any PEFT version. Fields that do not change the numbers are taken as they
// are, known or not. InvalidArgument, naming `name` and every field: peft_type other than LORA, a
// value of the wrong type or range, a field that changes the numbers in a way that is not
// implemented and is set.
[[nodiscard]] absl::StatusOr<nn::LoraConfig> ParsePeftConfig(absl::string_view text,
                                                             absl::string_view name);

// The file's text, in the fields that every PEFT version since 0.6 knows.
[[nodiscard]] std::string SerializePeftConfig(const nn::LoraConfig& config);

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_PEFT_CONFIG_H_
