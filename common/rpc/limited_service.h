#ifndef MELLOW_COMMON_RPC_LIMITED_SERVICE_H_
#define MELLOW_COMMON_RPC_LIMITED_SERVICE_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/tls_credentials.h"

namespace mellow::rpc {

// Limits every client of a server, whatever method it calls. Thread-safe.
class CallLimiter {
 public:
  // `tokens` may be null. Callers with one of `exempt` roles are not limited. `count` gets "rate",
  // "concurrency" or "clients".
  CallLimiter(ClientLimits::Options options, std::shared_ptr<const TokenTable> tokens,
              std::set<std::string> exempt, CountRefusal count);

  // OK: the call may go on, and `client` (empty: exempt) is to be given to Leave at its end.
  // ResourceExhausted names the client and its limit, and when to try again, also as the trailing
  // metadata grpc-retry-pushback-ms, which gRPC's retries obey.
  [[nodiscard]] absl::Status Enter(grpc::ServerContextBase* context, std::string* client);
  void Leave(const std::string& client);

 private:
  // "user/ann", else "10.0.0.1"; empty: exempt.
  std::string ClientOf(const grpc::ServerContextBase& context) const;

  ClientLimits limits_;
  const std::shared_ptr<const TokenTable> tokens_;
  const std::set<std::string> exempt_;
  const CountRefusal count_;
};

// A synchronous service with the methods of another, each of which asks the limiter first and is
// not entered when it refuses. (An interceptor of gRPC 1.51 can see a call but not answer it.)
// `service` and `limiter` must outlive it. NotFound: no generated service has that full name.
[[nodiscard]] absl::StatusOr<std::unique_ptr<grpc::Service>> MakeLimitedService(
    grpc::Service* service, const std::string& full_name, CallLimiter* limiter);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_LIMITED_SERVICE_H_
