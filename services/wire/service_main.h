#ifndef MELLOW_SERVICES_WIRE_SERVICE_MAIN_H_
#define MELLOW_SERVICES_WIRE_SERVICE_MAIN_H_

// What the main() of every gRPC service does in the same way: the common flags, and
// serve-until-signalled.

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/obs/metrics.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "services/wire/process_flags.h"

namespace grpc {
class Service;
}

namespace mellow::wire {

struct ServiceFlags : ProcessFlags {
  std::string
      advertise;  // host:port under which others reach this process; empty: the bound address
  std::string orchestrator;  // host:port; empty: do not register
  int max_message_mib = 64;
  int rpc_threads = 64;

  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

// Those of AddProcessFlags, --advertise, --orchestrator, ... `node_id` is the default name.
void AddServiceFlags(CLI::App* app, ServiceFlags* flags, const std::string& node_id);

struct ServiceParts {
  std::vector<grpc::Service*> services;
  std::vector<std::string> names;  // full gRPC service names, for health
  obs::Metrics* metrics = nullptr;
  // What to register with the orchestrator (role, capacity, adapters); the address is filled in.
  // Null: does not register.
  std::function<orchestrator::v1::RegisterNodeRequest()> describe;
  // Called when the drain begins: stop taking work, answer what waits.
  std::function<void()> drain;
};

// Starts the gRPC server and /metrics, says SERVING, registers, waits for SIGTERM or SIGINT,
// drains, and returns. Unavailable: a port is taken. Signals must have been blocked
// (rpc::BlockShutdownSignals) before the first thread.
[[nodiscard]] absl::Status ServeUntilSignal(const ServiceFlags& flags, ServiceParts parts);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_SERVICE_MAIN_H_
