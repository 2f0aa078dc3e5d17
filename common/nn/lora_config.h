#ifndef MELLOW_COMMON_NN_LORA_CONFIG_H_
#define MELLOW_COMMON_NN_LORA_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mellow::nn {

// The fields of PEFT's adapter_config.json that change the numbers, or that a user wants to keep.
struct LoraConfig {
  int r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  bool use_rslora = false;  // scaling alpha / sqrt(r) instead of alpha / r
  std::vector<std::string>
      target_modules;  // last name parts ("q", "v"), or full suffixes ("EncDecAttention.q")
  // PEFT's alpha_pattern, by full module name: the modules whose alpha is not lora_alpha. A
  // module's rank (rank_pattern) is that of its tensors.
  std::map<std::string, double> module_alphas;
  std::string base_model_name_or_path;  // a Hub id where it is known, else a folder
  std::string revision;                 // of a Hub id; empty: not known
  std::string task_type = "SEQ_2_SEQ_LM";

  // The factor of B A x for a module of this rank.
  [[nodiscard]] double ScalingOf(const std::string& module, int64_t rank) const;
  // InvalidArgument with the field (lora.r, ...), its value and what it may be: of an adapter that
  // is to be made; files of others are checked as they are read.
  [[nodiscard]] absl::Status Validate() const;

  friend bool operator==(const LoraConfig&, const LoraConfig&) = default;
};

// Makes the config name the model as its base. A snapshot in the Hub's cache
// (.../models--ORG--NAME/snapshots/COMMIT) tells the id and the revision; otherwise an id that the
// config has already is kept, and failing that it is the folder as it was given.
void NameBaseModel(const std::string& model_folder, LoraConfig* config);

// Whether `name` is "NAME" or "ORG/NAME" as the Hub spells ids, and no folder here.
[[nodiscard]] bool LooksLikeHubId(const std::string& name);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LORA_CONFIG_H_
