#ifndef MELLOW_SERVICES_HEALTH_CHECK_HEALTH_CHECK_H_
#define MELLOW_SERVICES_HEALTH_CHECK_HEALTH_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace mellow::health_check {

// Asks a server whether it serves: `target` is HOST:PORT for grpc.health.v1, or
// http[s]://HOST:PORT/PATH, which has to answer 200. `ca_file` (PEM) is what https trusts; a gRPC
// server is reached as wire::UseClientSecurity said. Unavailable: it does not, with the reason.
// InvalidArgument: `target` is neither, or https without `ca_file`.
[[nodiscard]] absl::Status Check(const std::string& target, absl::Duration timeout,
                                 const std::string& ca_file = "");

}  // namespace mellow::health_check

#endif  // MELLOW_SERVICES_HEALTH_CHECK_HEALTH_CHECK_H_
