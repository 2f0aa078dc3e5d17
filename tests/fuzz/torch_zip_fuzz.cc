// An even last byte (a zip file ends with the length of its comment): the whole is an archive. An
// odd one: it is the pickle of a sound archive, since no fuzzer guesses the checksum of a zip
// entry.

#include <cstdlib>
#include <memory>
#include <string>

#include "common/nn/weights/torch_zip.h"
#include "tests/common/nn/weights/torch_zip_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow::nn;  // NOLINT: a whole program
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data), size);
  if (data[size - 1] % 2 == 1) text = testing::Checkpoint(text);
  const auto tensors = ParseTorchZip(std::make_shared<const std::string>(std::move(text)), "input");
  if (!tensors.ok()) return 0;
  for (const auto& [name, tensor] : *tensors) {
    if (tensor.ToFloat32().size() != static_cast<size_t>(tensor.elements())) std::abort();
  }
  return 0;
}
