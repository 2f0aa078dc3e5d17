#ifndef MELLOW_COMMON_RPC_LIMITED_SERVICE_H_
#define MELLOW_COMMON_RPC_LIMITED_SERVICE_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/tls_credentials.h"

namespace google::protobuf {
class Message;
}

namespace mellow::rpc {

// What a request counts as against the limits of its client; at least 1.
using CountWork = std::function<int64_t(const google::protobuf::Message& request)>;

// Limits every client of a server, whatever method it calls. Thread-safe.
class CallLimiter {
 public:
  // What a call took: to be given back at its end.
  struct Taken {
    std::string client;  // empty: exempt
    int64_t work = 1;
  };

  // `tokens` may be null. Callers with one of `exempt` roles are not limited. `work` may be empty:
  // every call counts as one. `count` gets "rate", "concurrency" or "clients".
  CallLimiter(ClientLimits::Options options, std::shared_ptr<const TokenTable> tokens,
              std::set<std::string> exempt, CountWork work, CountRefusal count);

  // OK: the call may go on, and what is taken is to be given to Leave at its end. `request` may be
  // null (a stream of them). ResourceExhausted names the client and its limit, and when to try
  // again, also as the trailing metadata grpc-retry-pushback-ms, which gRPC's retries obey.
  [[nodiscard]] absl::Status Enter(grpc::ServerContextBase* context,
                                   const google::protobuf::Message* request, Taken* taken);
  void Leave(const Taken& taken);

 private:
  // "user/ann", else "10.0.0.1"; empty: exempt.
  std::string ClientOf(const grpc::ServerContextBase& context) const;

  ClientLimits limits_;
  const std::shared_ptr<const TokenTable> tokens_;
  const std::set<std::string> exempt_;
  const CountWork work_;
  const CountRefusal count_;
};

// A service with the methods of another, synchronous ones and those of the callback API, each of
// which asks the limiter first and is not entered when it refuses. (An interceptor of gRPC 1.51 can
// see a call but not answer it.)
// `service` (generated code's; streams of requests must be synchronous) and `limiter` must outlive
// it.
[[nodiscard]] std::unique_ptr<grpc::Service> MakeLimitedService(grpc::Service* service,
                                                                CallLimiter* limiter);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_LIMITED_SERVICE_H_
