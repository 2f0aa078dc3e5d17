#ifndef MELLOW_COMMON_RPC_CALL_CONTEXT_H_
#define MELLOW_COMMON_RPC_CALL_CONTEXT_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <stop_token>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"

namespace mellow::rpc {

// A ClientContext with a deadline that is cancelled when a token stops. One call each.
class CallContext {
 public:
  CallContext(absl::Duration timeout, std::stop_token stop)
      : stop_(stop), on_stop_(std::move(stop), [this] { context_.TryCancel(); }) {
    if (timeout < absl::InfiniteDuration()) SetTimeout(&context_, timeout);
  }
  grpc::ClientContext* get() { return &context_; }
  // The call's status. Unavailable when the token's stop ended it, whatever gRPC makes of that: it
  // was not the peer's fault.
  [[nodiscard]] absl::Status Translate(const grpc::Status& status, absl::string_view peer) const {
    if (status.error_code() == grpc::StatusCode::CANCELLED && stop_.stop_requested())
      return absl::UnavailableError(absl::StrCat(
          peer, ": given up from here: the node was lost or late, or the work is to stop"));
    return FromGrpcStatus(status, peer);
  }

 private:
  grpc::ClientContext context_;
  const std::stop_token stop_;
  std::stop_callback<std::function<void()>> on_stop_;
};

// One unary call in such a context: Call(stub, &Stub::Train, request, timeout, stop, peer). Errors
// as Translate. Blocks; any thread.
template <typename Stub, typename Request, typename Response>
[[nodiscard]] absl::StatusOr<Response> Call(
    Stub* stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const Request& request, absl::Duration timeout, std::stop_token stop, absl::string_view peer) {
  CallContext context(timeout, std::move(stop));
  Response response;
  MELLOW_RETURN_IF_ERROR(
      context.Translate((stub->*method)(context.get(), request, &response), peer));
  return response;
}

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CALL_CONTEXT_H_
