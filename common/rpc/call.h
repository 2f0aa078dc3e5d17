#ifndef MELLOW_COMMON_RPC_CALL_H_
#define MELLOW_COMMON_RPC_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"

namespace mellow::rpc {

// One unary call with a deadline: Call(channel, "policy at HOST:PORT", timeout,
// &PolicyService::Stub::GetInfo, request). Errors as FromGrpcStatus, with the peer named. Blocks;
// any thread.
template <typename Stub, typename Request, typename Response>
[[nodiscard]] absl::StatusOr<Response> Call(const std::shared_ptr<grpc::Channel>& channel,
                                            absl::string_view peer, absl::Duration timeout,
                                            grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                         const Request&, Response*),
                                            const Request& request) {
  Stub stub(channel);
  grpc::ClientContext context;
  SetTimeout(&context, timeout);
  Response response;
  MELLOW_RETURN_IF_ERROR(FromGrpcStatus((stub.*method)(&context, request, &response), peer));
  return response;
}

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CALL_H_
