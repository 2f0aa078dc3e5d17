#include "common/rl/value_head.h"

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/weights/safetensors.h"

namespace mellow::rl {
namespace {

constexpr char kWeight[] = "v_head.summary.weight";
constexpr char kBias[] = "v_head.summary.bias";

}  // namespace

absl::StatusOr<ValueHead> ReadValueHead(const std::string& path, int64_t d_model) {
  MELLOW_ASSIGN_OR_RETURN(const nn::TensorMap tensors, nn::ReadSafetensors(path));
  nn::TensorReader reader(tensors);
  ValueHead head;
  head.weight = reader.Float32(kWeight, {1, d_model});
  head.bias = reader.Float32(kBias, {1})[0];
  MELLOW_RETURN_IF_ERROR(Annotate(reader.Finish(), path));
  return head;
}

absl::Status WriteValueHead(const std::string& path, const ValueHead& head) {
  const nn::TensorMap tensors = {
      {kWeight, nn::HostTensor::FromFloat32(head.weight, {1, static_cast<int64_t>(head.weight.size())})},
      {kBias, nn::HostTensor::FromFloat32({head.bias}, {1})}};
  return WriteFileAtomic(path, nn::SerializeSafetensors(tensors, {{"format", "pt"}}));
}

}  // namespace mellow::rl
