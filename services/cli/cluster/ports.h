#ifndef MELLOW_SERVICES_CLI_CLUSTER_PORTS_H_
#define MELLOW_SERVICES_CLI_CLUSTER_PORTS_H_

#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::cli {

// A free TCP port of 127.0.0.1 that is not in `taken`, outside the range from which the kernel
// takes the ports of outgoing connections: a client that keeps dialing a dead service in that
// range may connect to itself, and then the service cannot come back. ResourceExhausted: none is
// free.
[[nodiscard]] absl::StatusOr<int> PickPort(const std::set<int>& taken);

// Nobody listens on it or uses it for a connection; what a dead process left in TIME_WAIT does not
// count.
[[nodiscard]] bool PortIsFree(int port);

// The port in "host:port" or "http://host:port/path"; 0 when there is none.
[[nodiscard]] int PortOf(absl::string_view address);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_PORTS_H_
