#ifndef MELLOW_COMMON_ADAPTERS_PEFT_H_
#define MELLOW_COMMON_ADAPTERS_PEFT_H_

// LoRA adapters in PEFT's folder format: adapter_config.json beside adapter_model.safetensors (or
// .bin, read only), tensors named base_model.model.<module>.lora_A.weight and .lora_B.weight.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/lora.h"

namespace mellow::adapters {

// NotFound: no such folder or file. InvalidArgument: a config that is not LoRA, or uses what
// changes the numbers and we do not have (DoRA, bias, rank_pattern, modules_to_save...), named.
// FailedPrecondition: A without B, shapes that do not fit r. DataLoss: corrupt.
[[nodiscard]] absl::StatusOr<nn::LoraWeights> ReadPeftFolder(const std::string& folder);

// Whole or not at all (AtomicFolder). `peft` loads it unchanged.
[[nodiscard]] absl::Status WritePeftFolder(const std::string& folder, const nn::LoraWeights& lora);

// The two files' contents, for sending an adapter over the network.
struct PeftFiles {
  std::string config_json;
  std::string safetensors;
};
[[nodiscard]] PeftFiles SerializePeft(const nn::LoraWeights& lora);
[[nodiscard]] absl::StatusOr<nn::LoraWeights> ParsePeft(const PeftFiles& files);

// sha256 in hex over the tensors in name order, each: name (PEFT's, as in the file), shape,
// little-endian fp32 bytes. Equal weights have equal hashes, whatever the file's header looks like.
//   per tensor: name, '\0', number of dimensions as u32, each dimension as u64, the values.
[[nodiscard]] std::string ContentHash(const nn::LoraWeights& lora);

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_PEFT_H_
