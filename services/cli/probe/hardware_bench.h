#ifndef MELLOW_SERVICES_CLI_PROBE_HARDWARE_BENCH_H_
#define MELLOW_SERVICES_CLI_PROBE_HARDWARE_BENCH_H_

// `mellow bench hardware`: what this machine can do at most, to set beside what the engines reach.

#include <functional>

#include "absl/status/status.h"
#include "common/json/value.h"
#include "common/nn/device.h"

namespace mellow::cli {

struct HardwareBenchOptions {
  nn::Device device;
  int threads = 1;
  int size = 2048;     // of the square matrices
  double seconds = 1;  // of each measurement, about
};

// Hands each measurement to `print`: the machine; products of our kernels, by the format of the
// weights, and of libtorch (on a CUDA device its alone), in GFLOP/s; the memory that all threads
// together read, in GB/s. What libtorch cannot do on the device is left out.
[[nodiscard]] absl::Status BenchHardware(const HardwareBenchOptions& options,
                                         const std::function<void(const json::Value&)>& print);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_PROBE_HARDWARE_BENCH_H_
