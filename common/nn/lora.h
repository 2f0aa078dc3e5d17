#ifndef MELLOW_COMMON_NN_LORA_H_
#define MELLOW_COMMON_NN_LORA_H_

#include <cstdint>
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
  // Tensors of the base model that the file holds too ("lm_head.base_layer.weight"). Whatever
  // prepares the adapter compares them first (CheckBaseCopies), and has no use for them then.
  TensorMap base_copies;
};

// FailedPrecondition naming every copy that the model in the folder lacks or has with other
// numbers: such an adapter is of another base, or was trained together with it. Reads the folder
// only when there are copies.
[[nodiscard]] absl::Status CheckBaseCopies(const std::string& model_folder,
                                           const LoraWeights& lora);

// Makes the config name the model as its base. A snapshot in the Hub's cache
// (.../models--ORG--NAME/snapshots/COMMIT) tells the id and the revision; otherwise an id that the
// config has already is kept, and failing that it is the folder as it was given.
void NameBaseModel(const std::string& model_folder, LoraConfig* config);

// Whether `name` is "NAME" or "ORG/NAME" as the Hub spells ids, and no folder here.
[[nodiscard]] bool LooksLikeHubId(const std::string& name);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LORA_H_
