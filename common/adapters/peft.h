#ifndef MELLOW_COMMON_ADAPTERS_PEFT_H_
#define MELLOW_COMMON_ADAPTERS_PEFT_H_

// LoRA adapters in PEFT's folder format: adapter_config.json beside adapter_model.safetensors (or
// .bin, read only) and README.md, tensors named base_model.model.<module>.lora_A.weight and
// .lora_B.weight.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/model_card.h"
#include "common/nn/lora.h"

namespace mellow::adapters {

// NotFound: no such folder or file. InvalidArgument: a config that is not LoRA, or uses what
// changes the numbers and we do not have (DoRA, modules_to_save...), named. FailedPrecondition:
// names without PEFT's prefix, A without B, tensors that the config does not choose or that do not
// fit its ranks. DataLoss: corrupt.
[[nodiscard]] absl::StatusOr<nn::LoraWeights> ReadPeftFolder(const std::string& folder);

// The files' contents, for sending an adapter over the network and for keeping it.
struct PeftFiles {
  std::string config_json;
  std::string safetensors;
  std::string model_card;  // README.md; stays on this machine
};

// Whole or not at all (AtomicFolder). `peft` and AutoPeftModelForSeq2SeqLM load it unchanged, and
// its README.md is a model card. Without files.model_card it is a plain one.
[[nodiscard]] absl::Status WritePeftFiles(const std::string& folder, const PeftFiles& files);
// The same of weights; `card` needs no hash.
[[nodiscard]] absl::Status WritePeftFolder(const std::string& folder, const nn::LoraWeights& lora,
                                           ModelCard card = {});

[[nodiscard]] PeftFiles SerializePeft(const nn::LoraWeights& lora);
[[nodiscard]] absl::StatusOr<nn::LoraWeights> ParsePeft(const PeftFiles& files);

// sha256 in hex over the tensors in name order, each: name (PEFT's, as in the file), shape,
// little-endian fp32 bytes. Equal weights have equal hashes, whatever the file's header looks like.
//   per tensor: name, '\0', number of dimensions as u32, each dimension as u64, the values.
[[nodiscard]] std::string ContentHash(const nn::LoraWeights& lora);

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_PEFT_H_
