#ifndef MELLOW_COMMON_RPC_STATUS_H_
#define MELLOW_COMMON_RPC_STATUS_H_

// The one place where absl::Status and grpc::Status meet. The codes are the same numbers on both
// sides.

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <new>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"

namespace mellow::rpc {

// Without the message when there is no memory for it.
[[nodiscard]] grpc::Status ToGrpcStatus(const absl::Status& status) noexcept;

// What a synchronous handler answers: what `body` returns (a status of either kind), or
// RESOURCE_EXHAUSTED when memory ends in it. To gRPC any exception is UNKNOWN, which nobody
// repeats.
template <typename Body>
[[nodiscard]] grpc::Status Answer(const Body& body) {
  try {
    if constexpr (std::is_same_v<decltype(body()), grpc::Status>) {
      return body();
    } else {
      return ToGrpcStatus(body());
    }
  } catch (const std::bad_alloc&) {
    return ToGrpcStatus(OutOfMemory());
  }
}

// The same for a handler that reads a stream: CANCELLED when its sender gave it up, for such a
// stream looks like one that is too short.
template <typename Body>
[[nodiscard]] grpc::Status Answer(const grpc::ServerContextBase& context, const Body& body) {
  const grpc::Status status = Answer(body);
  return !status.ok() && context.IsCancelled() ? grpc::Status::CANCELLED : status;
}

// `peer` ("policy-0 at 127.0.0.1:50051") is put before the message. UNKNOWN "Stream removed", which
// gRPC answers when a connection breaks at the wrong moment, becomes Unavailable, so that callers
// retry; and so does CANCELLED, for it says nothing of the request: either the peer's side of the
// call ended, or the caller ended it and knows why. RESOURCE_EXHAUSTED for the size of a message,
// which is gRPC's own and tells of no queue, becomes InvalidArgument: no later try could be
// smaller.
[[nodiscard]] absl::Status FromGrpcStatus(const grpc::Status& status, absl::string_view peer);

// Codes after which the same call may succeed: Unavailable, ResourceExhausted, Aborted,
// DeadlineExceeded.
[[nodiscard]] bool IsRetryable(const absl::Status& status);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_STATUS_H_
