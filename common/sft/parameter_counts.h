#ifndef MELLOW_COMMON_SFT_PARAMETER_COUNTS_H_
#define MELLOW_COMMON_SFT_PARAMETER_COUNTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/nn/lora_config.h"
#include "common/nn/t5_config.h"

namespace mellow::sft {

// As PEFT's print_trainable_parameters counts them.
struct ParameterCounts {
  int64_t trainable = 0;  // A and B of every adapted module
  int64_t total = 0;      // those of the base model too; shared embeddings once
};

// From the shapes alone, before any weight is read. InvalidArgument: a target names no linear layer
// of such a model.
[[nodiscard]] absl::StatusOr<ParameterCounts> CountParameters(const nn::T5Config& model,
                                                              const nn::LoraConfig& lora);

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_PARAMETER_COUNTS_H_
