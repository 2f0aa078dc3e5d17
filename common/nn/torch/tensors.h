#ifndef MELLOW_COMMON_NN_TORCH_TENSORS_H_
#define MELLOW_COMMON_NN_TORCH_TENSORS_H_

// Between our host tensors and ATen's, and from ATen's exceptions to our statuses.

#include <ATen/ATen.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/status.h"
#include "common/nn/activation.h"
#include "common/nn/device.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

[[nodiscard]] at::Device TorchDevice(const Device& device);

// A copy of the tensor as fp32 on the device.
[[nodiscard]] at::Tensor ToTorch(const HostTensor& tensor, at::Device device);
// fp32 copy in host memory.
[[nodiscard]] HostTensor FromTorch(const at::Tensor& tensor);
[[nodiscard]] std::vector<float> ToVector(const at::Tensor& tensor);
// One-dimensional copies on the device.
[[nodiscard]] at::Tensor FloatTensor(absl::Span<const float> values, at::Device device);
[[nodiscard]] at::Tensor IdTensor(absl::Span<const int64_t> ids, at::Device device);

// ResourceExhausted when the CPU's allocator says that memory ended, which has no type of its own.
// Internal otherwise.
[[nodiscard]] absl::Status StatusOf(const c10::Error& error);

// Runs `body` (returning absl::Status or absl::StatusOr) and turns what libtorch throws into a
// status: no exception may leave a class that uses ATen. ResourceExhausted: out of memory.
// Internal: anything else.
template <typename Body>
auto CatchTorch(Body&& body) -> decltype(body()) {
  return Caught([&]() -> decltype(body()) {
    try {
      return body();
    } catch (const c10::OutOfMemoryError& error) {
      return absl::ResourceExhaustedError(error.what_without_backtrace());
    } catch (const c10::Error& error) {
      return StatusOf(error);
    }
  });
}

[[nodiscard]] at::Tensor Activate(const at::Tensor& x, Activation activation);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TENSORS_H_
