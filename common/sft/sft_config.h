#ifndef MELLOW_COMMON_SFT_SFT_CONFIG_H_
#define MELLOW_COMMON_SFT_SFT_CONFIG_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "common/nn/lora_config.h"
#include "common/nn/weight_type.h"

namespace mellow::sft {

// Hyper-parameters of supervised fine-tuning, with every default of transformers' TrainingArguments
// but the learning rate's (5e-5 is meant for full fine-tuning).
struct SftConfig {
  uint32_t seed = 0;  // of fresh LoRA weights and dropout
  // A fresh adapter gets it; one that is started from brings its own. lora_dropout acts in
  // training.
  nn::LoraConfig lora = {.r = 8, .lora_alpha = 8, .target_modules = {"q", "v"}};
  double learning_rate = 1e-3;  // at the end of the warm-up
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1;  // global L2 norm; 0: no clipping
  int batch_size =
      8;  // pairs of a forward and backward: bounds the memory, changes nothing but rounding
  double label_smoothing = 0;
  nn::WeightType precision = nn::WeightType::kFloat32;  // of the frozen products: fp32 or bf16
  std::optional<double> model_dropout;                  // absent: dropout_rate of config.json

  // InvalidArgument naming field and value.
  [[nodiscard]] absl::Status Validate() const;
};

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_SFT_CONFIG_H_
