#ifndef MELLOW_COMMON_RPC_SERVER_H_
#define MELLOW_COMMON_RPC_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/obs/metrics.h"
#include "common/rpc/tls_credentials.h"

namespace grpc {
class CallbackGenericService;
class Channel;
class Server;
class Service;
}  // namespace grpc

namespace mellow::tls {
class HandshakeWatch;
}

namespace mellow::rpc {

class CallsInProgress;

struct ServerOptions {
  std::string address = "127.0.0.1:0";  // host:port; port 0 picks a free one
  int max_message_bytes = 64 << 20;     // that clients send; larger: RESOURCE_EXHAUSTED
  int max_threads = 64;                 // of the synchronous server; calls beyond it wait
  // Calls of one connection at a time, also such whose message still arrives and that nothing else
  // counts; more wait at their caller. Enough to fill a policy's queue and rows, so that who asks
  // for more is told at once.
  int max_streams_per_connection = 640;
  // Older connections are asked to end (their calls are finished, however long they take), give or
  // take 10 %: a caller then looks its name up again, and so finds servers that have come since.
  absl::Duration max_connection_age = absl::Seconds(30);
  bool reflection = true;
  std::optional<ServerSecurity> security;  // absent: plaintext, and every caller may do everything
  // An extra plaintext port for grpc.health.v1 and nothing else; empty: none.
  std::string health_address;
  [[nodiscard]] absl::Status Validate() const;
};

// A gRPC server with grpc.health.v1 (per full service name and ""), reflection, and one interceptor
// that exports mellow_rpc_server_seconds{method} and mellow_rpc_server_handled_total{method,code}.
// Who may not connect or call is counted in mellow_rpc_server_refused_total{reason}; with TLS,
// connections whose handshake failed (tls::HandshakeWatch), or that were closed after it, are in
// mellow_rpc_server_handshake_failures_total. Health starts NOT_SERVING.
class Server {
 public:
  // `services` and `metrics` must outlive the server. Unavailable: the address cannot be bound
  // (named).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::vector<grpc::Service*> services,
      std::vector<std::string> service_names, obs::Metrics* metrics);
  ~Server();

  [[nodiscard]] int port() const { return port_; }
  // The port of health_address; 0: there is none.
  [[nodiscard]] int health_port() const { return health_port_; }
  // "host:port" with the port that was bound.
  [[nodiscard]] std::string address() const;
  void SetServing(bool serving);
  // Health goes NOT_SERVING at once, new calls are refused, calls in progress get `drain` to
  // finish. Returns soon after the last of them: idle connections are closed, not waited for.
  void Shutdown(absl::Duration drain);
  // For tests: no socket.
  [[nodiscard]] std::shared_ptr<grpc::Channel> InProcessChannel();

 private:
  Server();
  absl::Status StartHealth(const ServerOptions& options);

  std::unique_ptr<CallsInProgress> calls_;  // this and what follows outlive server_
  std::unique_ptr<tls::HandshakeWatch> handshakes_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::CallbackGenericService> unimplemented_;
  std::unique_ptr<grpc::Server> health_server_;  // null: none
  std::vector<std::string> service_names_;
  std::string host_;
  int port_ = 0;
  int health_port_ = 0;
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_SERVER_H_
