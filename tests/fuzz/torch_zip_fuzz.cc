// An even first byte: the rest is a whole archive. An odd one: the rest is the pickle of a sound
// archive, since no fuzzer guesses the checksum of a zip entry.

#include <cstdlib>
#include <memory>
#include <string>

#include "common/nn/weights/torch_zip.h"
#include "tests/common/nn/weights/torch_zip_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow::nn;  // NOLINT: a whole program
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) text = testing::Checkpoint(text);
  const auto tensors = ParseTorchZip(std::make_shared<const std::string>(std::move(text)), "input");
  if (!tensors.ok()) return 0;
  for (const auto& [name, tensor] : *tensors) {
    if (tensor.ToFloat32().size() != static_cast<size_t>(tensor.elements())) std::abort();
  }
  return 0;
}
