#ifndef MELLOW_TESTS_TESTING_TEST_DEVICE_H_
#define MELLOW_TESTS_TESTING_TEST_DEVICE_H_

#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/nn/device.h"

namespace mellow {

// Where the parity tests run what libtorch computes: MELLOW_TEST_DEVICE ("cuda:0", see
// deploy/tools/gpu_check.sh), without it libtorch's CPU device. One that is not there ends the
// program: a check of it that did not happen must not pass.
inline nn::Device TestDevice() {
  const char* const name = std::getenv("MELLOW_TEST_DEVICE");
  const auto device = nn::ResolveDevice(name == nullptr ? "cpu" : name);
  if (!device.ok()) {
    std::fprintf(stderr, "MELLOW_TEST_DEVICE: %s\n", device.status().ToString().c_str());
    std::abort();
  }
  return *device;
}

// How far numbers of that device may be from golden ones: on CUDA the sums have another order.
inline double OnTestDevice(double tolerance) {
  return TestDevice().cuda ? 10 * tolerance : tolerance;
}

}  // namespace mellow

#endif  // MELLOW_TESTS_TESTING_TEST_DEVICE_H_
