#ifndef MELLOW_SERVICES_CLI_CLUSTER_REQUEST_ID_H_
#define MELLOW_SERVICES_CLI_CLUSTER_REQUEST_ID_H_

#include <random>
#include <string>

#include "absl/strings/str_format.h"

namespace mellow::cli {

// 128 random bits in hex: by it a service knows a request that is sent again.
[[nodiscard]] inline std::string NewRequestId() {
  std::random_device device;
  return absl::StrFormat("%08x%08x%08x%08x", device(), device(), device(), device());
}

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_REQUEST_ID_H_
