#ifndef MELLOW_COMMON_NN_DEVICE_H_
#define MELLOW_COMMON_NN_DEVICE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::nn {

struct Device {
  bool cuda = false;
  int index = 0;
  [[nodiscard]] std::string ToString() const;  // "cpu", "cuda:0"
};

// "cpu", "cuda", "cuda:N", or "auto": CUDA when libtorch_cuda loads and sees a device, else the
// CPU. InvalidArgument: another word. FailedPrecondition: CUDA asked for and not there (says what
// is missing).
[[nodiscard]] absl::StatusOr<Device> ResolveDevice(absl::string_view text);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_DEVICE_H_
