// Text before the first zero byte is adapter_config.json, what follows the tensors; without a zero
// byte the tensors are sound ones. What is accepted must survive being written and read again.

#include <cstdlib>
#include <string>

#include "common/adapters/peft.h"
#include "common/nn/weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  static const std::string kTensors = nn::SerializeSafetensors(
      {{"base_model.model.decoder.block.0.layer.1.EncDecAttention.q.lora_A.weight",
        nn::HostTensor::FromFloat32({1, 2}, {1, 2})},
       {"base_model.model.decoder.block.0.layer.1.EncDecAttention.q.lora_B.weight",
        nn::HostTensor::FromFloat32({3, 4}, {2, 1})},
       {"base_model.model.lm_head.base_layer.weight", nn::HostTensor::FromFloat32({3, 4}, {1, 2})}},
      {});
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\0');
  const adapters::PeftFiles files = {text.substr(0, end),
                                     end == std::string::npos ? kTensors : text.substr(end + 1)};
  const auto lora = adapters::ParsePeft(files);
  if (!lora.ok()) return 0;
  const auto again = adapters::ParsePeft(adapters::SerializePeft(*lora));
  if (!again.ok() || adapters::ContentHash(*again) != adapters::ContentHash(*lora)) std::abort();
  if (again->config.target_modules != lora->config.target_modules ||
      again->base_copies.size() != lora->base_copies.size())
    std::abort();
  for (const auto& [module, pair] : lora->modules) {
    const int64_t rank = pair.a.shape[0];
    if (again->config.ScalingOf(module, rank) != lora->config.ScalingOf(module, rank)) std::abort();
  }
  return 0;
}
