#ifndef MELLOW_COMMON_NN_LORA_H_
#define MELLOW_COMMON_NN_LORA_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// The fields of PEFT's adapter_config.json that change the numbers, or that a user wants to keep.
struct LoraConfig {
  int r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  bool use_rslora = false;  // scaling alpha / sqrt(r) instead of alpha / r
  std::vector<std::string>
      target_modules;  // last name parts ("q", "v"), or full suffixes ("EncDecAttention.q")
  std::string base_model_name_or_path;
  std::string task_type = "SEQ_2_SEQ_LM";

  [[nodiscard]] double scaling() const;
  // InvalidArgument with the field (lora.r, ...), its value and what it may be: of an adapter that
  // is to be made; files of others are checked as they are read.
  [[nodiscard]] absl::Status Validate() const;
};

// One adapted linear layer y = W x + scaling * B (A x). A: [r, in], B: [out, r], both fp32.
struct LoraPair {
  HostTensor a;
  HostTensor b;
};

// A LoRA adapter as plain tensors. Module names are those of the base model
// ("encoder.block.0.layer.0.SelfAttention.q"). Immutable once shared.
struct LoraWeights {
  LoraConfig config;
  std::map<std::string, LoraPair> modules;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LORA_H_
