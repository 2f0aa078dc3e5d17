// Any bytes as a safetensors file. What is accepted must convert inside its bytes and survive being
// written again.

#include <cstdlib>
#include <memory>
#include <string>

#include "common/nn/weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow::nn;  // NOLINT: a whole program
  const auto file = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  const auto tensors = ParseSafetensors(file, "input");
  if (!tensors.ok()) return 0;
  for (const auto& [name, tensor] : *tensors) {
    if (tensor.ToFloat32().size() != static_cast<size_t>(tensor.elements())) std::abort();
  }
  const auto again = ParseSafetensors(
      std::make_shared<const std::string>(SerializeSafetensors(*tensors, {})), "again");
  if (!again.ok() || again->size() != tensors->size()) std::abort();
  return 0;
}
