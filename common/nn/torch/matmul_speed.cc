#include "common/nn/torch/matmul_speed.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "common/base/steady_time.h"
#include "common/nn/torch/tensors.h"

namespace mellow::nn {

absl::StatusOr<double> TorchMatMulSpeed(TorchMatMul type, const Device& device, int size,
                                        int threads, absl::Duration budget) {
  return CatchTorch([&]() -> absl::StatusOr<double> {
    const at::NoGradGuard no_grad;
    if (!device.cuda) at::set_num_threads(threads);
    const auto options = at::TensorOptions().device(TorchDevice(device));
    const bool int8 = type == TorchMatMul::kInt8;
    const auto make = [&] {
      if (int8) return at::randint(-100, 100, {size, size}, options.dtype(at::kChar));
      const at::Tensor random = at::randn({size, size}, options);
      return type == TorchMatMul::kBFloat16 ? random.to(at::kBFloat16) : random;
    };
    const at::Tensor a = make();
    const at::Tensor b = make();
    const SteadyTime end = SteadyTime::Now() + budget;
    absl::Duration best = absl::InfiniteDuration();
    for (int run = 0; run < 2 || SteadyTime::Now() < end; ++run) {
      const SteadyTime start = SteadyTime::Now();
      const at::Tensor c = int8 ? at::_int_mm(a, b) : at::mm(a, b);
      (void)c.select(0, 0).select(0, 0).item();  // waits for a device
      best = std::min(best, SteadyTime::Now() - start);
    }
    const double n = size;
    return 2 * n * n * n / absl::ToDoubleSeconds(best);
  });
}

}  // namespace mellow::nn
