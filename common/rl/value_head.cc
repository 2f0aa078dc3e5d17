#include "common/rl/value_head.h"

#include <cmath>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/weights/safetensors.h"
#include "common/nn/weights/torch_zip.h"

namespace mellow::rl {
namespace {

constexpr char kWeight[] = "v_head.summary.weight";
constexpr char kBias[] = "v_head.summary.bias";

// By what the file is, not by its name: a zip archive begins with "PK".
absl::StatusOr<nn::TensorMap> ReadTensors(const std::string& path) {
  char magic[2] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof(magic));
  return magic[0] == 'P' && magic[1] == 'K' ? nn::ReadTorchZip(path) : nn::ReadSafetensors(path);
}

absl::Status NotFinite(const std::string& path, const char* tensor) {
  return absl::DataLossError(
      absl::StrCat(path, ": ", tensor, " holds a number that is not finite"));
}

}  // namespace

absl::StatusOr<ValueHead> ReadValueHead(const std::string& path, int64_t d_model) {
  MELLOW_ASSIGN_OR_RETURN(const nn::TensorMap tensors, ReadTensors(path));
  nn::TensorReader reader(tensors);
  ValueHead head;
  head.weight = reader.Float32(kWeight, {1, d_model});
  head.bias = reader.Float32(kBias, {1})[0];
  MELLOW_RETURN_IF_ERROR(Annotate(reader.Finish(), path));
  for (const float value : head.weight) {
    if (!std::isfinite(value)) return NotFinite(path, kWeight);
  }
  if (!std::isfinite(head.bias)) return NotFinite(path, kBias);
  return head;
}

absl::Status WriteValueHead(const std::string& path, const ValueHead& head) {
  const nn::TensorMap tensors = {
      {kWeight,
       nn::HostTensor::FromFloat32(head.weight, {1, static_cast<int64_t>(head.weight.size())})},
      {kBias, nn::HostTensor::FromFloat32({head.bias}, {1})}};
  return WriteFileAtomic(path, nn::SerializeSafetensors(tensors, {{"format", "pt"}}));
}

}  // namespace mellow::rl
