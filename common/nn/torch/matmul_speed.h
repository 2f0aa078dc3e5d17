#ifndef MELLOW_COMMON_NN_TORCH_MATMUL_SPEED_H_
#define MELLOW_COMMON_NN_TORCH_MATMUL_SPEED_H_

// How fast libtorch multiplies matrices here: what our own kernels are set beside. No torch in this
// header.

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/nn/device.h"

namespace mellow::nn {

enum class TorchMatMul { kFloat32, kBFloat16, kInt8 };  // int8 x int8 to int32

// Multiply-adds per second, each counted as two operations, of [size, size] x [size, size]: the
// fastest of the calls that fit in `budget` (at least two). `threads` of libtorch's pool, on the
// CPU; the pool keeps them. Errors as CatchTorch: libtorch has no such product on the device.
[[nodiscard]] absl::StatusOr<double> TorchMatMulSpeed(TorchMatMul type, const Device& device,
                                                      int size, int threads, absl::Duration budget);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_MATMUL_SPEED_H_
