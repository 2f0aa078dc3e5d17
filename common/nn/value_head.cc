#include "common/nn/value_head.h"

#include <cmath>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/weights/safetensors.h"
#include "common/nn/weights/torch_zip.h"

namespace mellow::nn {
namespace {

constexpr char kWeight[] = "v_head.summary.weight";
constexpr char kBias[] = "v_head.summary.bias";

// By what the file is, not by its name: a zip archive begins with "PK".
absl::StatusOr<TensorMap> ReadTensors(const std::string& path) {
  char magic[2] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof(magic));
  return magic[0] == 'P' && magic[1] == 'K' ? ReadTorchZip(path) : ReadSafetensors(path);
}

absl::Status NotFinite(const std::string& source, const char* tensor) {
  return absl::DataLossError(
      absl::StrCat(source, ": ", tensor, " holds a number that is not finite"));
}

// `source`: for messages.
absl::StatusOr<ValueHead> FromTensors(const TensorMap& tensors, int64_t d_model,
                                      const std::string& source) {
  TensorReader reader(tensors);
  ValueHead head;
  head.weight = reader.Float32(kWeight, {1, d_model});
  head.bias = reader.Float32(kBias, {1})[0];
  MELLOW_RETURN_IF_ERROR(Annotate(reader.Finish(), source));
  for (const float value : head.weight) {
    if (!std::isfinite(value)) return NotFinite(source, kWeight);
  }
  if (!std::isfinite(head.bias)) return NotFinite(source, kBias);
  return head;
}

}  // namespace

float ValueOf(const float* weight, float bias, const float* hidden, int64_t width) {
  double sum = 0;
  for (int64_t j = 0; j < width; ++j) sum += double{hidden[j]} * weight[j];
  return static_cast<float>(sum + double{bias});
}

absl::StatusOr<ValueHead> ReadValueHead(const std::string& path, int64_t d_model) {
  MELLOW_ASSIGN_OR_RETURN(const TensorMap tensors, ReadTensors(path));
  return FromTensors(tensors, d_model, path);
}

std::string SerializeValueHead(const ValueHead& head) {
  const TensorMap tensors = {
      {kWeight,
       HostTensor::FromFloat32(head.weight, {1, static_cast<int64_t>(head.weight.size())})},
      {kBias, HostTensor::FromFloat32({head.bias}, {1})}};
  return SerializeSafetensors(tensors, {{"format", "pt"}});
}

absl::StatusOr<ValueHead> ParseValueHead(const std::string& bytes, int64_t d_model) {
  MELLOW_ASSIGN_OR_RETURN(
      const TensorMap tensors,
      ParseSafetensors(std::make_shared<const std::string>(bytes), "value_head"));
  return FromTensors(tensors, d_model, "value_head");
}

}  // namespace mellow::nn
