#ifndef MELLOW_COMMON_NN_LORA_H_
#define MELLOW_COMMON_NN_LORA_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "common/nn/lora_config.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

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

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LORA_H_
