#include "common/nn/device.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/nn/torch/torch_models.h"

namespace mellow::nn {

std::string Device::ToString() const { return cuda ? absl::StrCat("cuda:", index) : "cpu"; }

absl::StatusOr<Device> ResolveDevice(absl::string_view text) {
  if (text == "cpu") return Device{};
  if (text == "auto") {
    const absl::StatusOr<int> count = CudaDeviceCount();
    return Device{.cuda = count.ok() && *count > 0};
  }
  Device device{.cuda = true};
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "cuda") ||
      (!rest.empty() && !(absl::ConsumePrefix(&rest, ":") &&
                          absl::SimpleAtoi(rest, &device.index) && device.index >= 0))) {
    return absl::InvalidArgumentError(
        absl::StrCat("device \"", text, "\": expected cpu, cuda, cuda:N or auto"));
  }
  const absl::StatusOr<int> count = CudaDeviceCount();
  if (!count.ok())
    return absl::FailedPreconditionError(
        absl::StrCat("device \"", text, "\": ", count.status().message()));
  if (device.index >= *count) {
    return absl::FailedPreconditionError(
        absl::StrCat("device \"", text, "\": this machine shows ", *count, " CUDA devices"));
  }
  return device;
}

}  // namespace mellow::nn
