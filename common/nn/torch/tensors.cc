#include "common/nn/torch/tensors.h"

#include "absl/strings/match.h"

namespace mellow::nn {

at::Device TorchDevice(const Device& device) {
  return device.cuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index))
                     : at::Device(at::kCPU);
}

at::Tensor ToTorch(const HostTensor& tensor, at::Device device) {
  std::vector<float> values = tensor.ToFloat32();
  return at::from_blob(values.data(), tensor.shape, at::kFloat).clone().to(device);
}

std::vector<float> ToVector(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* data = host.const_data_ptr<float>();
  return std::vector<float>(data, data + host.numel());
}

HostTensor FromTorch(const at::Tensor& tensor) {
  return HostTensor::FromFloat32(ToVector(tensor), tensor.sizes().vec());
}

at::Tensor FloatTensor(absl::Span<const float> values, at::Device device) {
  at::Tensor host = at::empty({static_cast<int64_t>(values.size())}, at::kFloat);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<float>());
  return host.to(device);
}

at::Tensor IdTensor(absl::Span<const int64_t> ids, at::Device device) {
  at::Tensor host = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), host.mutable_data_ptr<int64_t>());
  return host.to(device);
}

absl::Status StatusOf(const c10::Error& error) {
  const char* message = error.what_without_backtrace();
  return absl::StrContains(message, "can't allocate memory") ? absl::ResourceExhaustedError(message)
                                                             : absl::InternalError(message);
}

at::Tensor Activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kGeluNew:
      return at::gelu(x, "tanh");
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kSilu:
      return at::silu(x);
  }
  return x;
}

}  // namespace mellow::nn
