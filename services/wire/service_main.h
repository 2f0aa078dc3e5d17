#ifndef MELLOW_SERVICES_WIRE_SERVICE_MAIN_H_
#define MELLOW_SERVICES_WIRE_SERVICE_MAIN_H_

// What the main() of every gRPC service does in the same way: the common flags, and
// serve-until-signalled.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/obs/metrics.h"
#include "common/rpc/call_limiter.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "services/wire/process_flags.h"

namespace grpc {
class Service;
}
namespace mellow::rpc {
class TokenTable;
}

namespace mellow::wire {

struct ServiceParts;

// Bytes of requests that a service takes.
struct MessageNeeds {
  int64_t largest = 64 << 20;  // unless --max-message-mib says; rounded up to whole MiB
  int64_t one_text = 0;        // as MessageLimitsOf's
};

struct ServiceFlags : ProcessFlags {
  std::string
      advertise;  // host:port under which others reach this process; empty: the bound address
  std::string orchestrator;  // host:port; empty: do not register
  int max_message_mib = 0;   // 0: as the service's other flags need
  int rpc_threads = 64;
  std::string tokens;      // file of rpc::TokenTable; empty: none are taken
  std::string token_file;  // file of rpc::TokenFile; empty: none is sent
  std::string insecure_health_address;
  bool no_reflection = false;
  double client_rate = 0;      // calls per second; 0: no limit
  int client_concurrency = 0;  // calls in progress; 0: no limit

  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

// Those of AddProcessFlags, --advertise, --orchestrator, --tokens, ... `node_id` is the default
// name.
void AddServiceFlags(CLI::App* app, ServiceFlags* flags, const std::string& node_id);

// What a service proves and wants proved; and from Start on, how its own channels reach the others.
// Before the first channel.
class ServiceSecurity {
 public:
  // Errors: those of the files.
  [[nodiscard]] static absl::StatusOr<ServiceSecurity> Start(const ServiceFlags& flags);

  // For all services of the process, which it must outlive: --client-rate, --client-concurrency,
  // and the limits of methods.h. `metrics` must outlive it.
  [[nodiscard]] std::unique_ptr<rpc::CallLimiter> MakeLimiter(const ServiceFlags& flags,
                                                              const MessageNeeds& messages,
                                                              obs::Metrics* metrics) const;

 private:
  friend absl::Status ServeUntilSignal(const ServiceFlags& flags, const ServiceSecurity& security,
                                       ServiceParts parts);
  std::shared_ptr<tls::FollowedCertificates> certificates_;  // null: plaintext
  std::shared_ptr<rpc::TokenTable> tokens_;                  // null: none are taken
};

struct ServiceParts {
  std::vector<grpc::Service*> services;
  std::vector<std::string> names;  // full gRPC service names, for health
  obs::Metrics* metrics = nullptr;
  MessageNeeds messages;
  // What to register with the orchestrator (role, capacity, adapters); the address is filled in.
  // Null: does not register.
  std::function<orchestrator::v1::RegisterNodeRequest()> describe;
  // Called when the drain begins: stop taking work, answer what waits.
  std::function<void()> drain;
};

// Starts the gRPC server and /metrics, says SERVING, registers, waits for SIGTERM or SIGINT,
// drains, and returns. Unavailable: a port is taken. Signals must have been blocked
// (rpc::BlockShutdownSignals) before the first thread.
[[nodiscard]] absl::Status ServeUntilSignal(const ServiceFlags& flags,
                                            const ServiceSecurity& security, ServiceParts parts);

// What a model's configuration says and nobody here knows: a warning each.
void LogModelWarnings(const std::vector<std::string>& warnings);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_SERVICE_MAIN_H_
