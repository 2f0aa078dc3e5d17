#ifndef MELLOW_TESTS_TESTING_EMPTY_CALL_H_
#define MELLOW_TESTS_TESTING_EMPTY_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/client.h"

namespace mellow::testing {

// Calls "/package.Service/Method", of whatever kind, with one empty message; what it answers is
// dropped.
[[nodiscard]] inline grpc::Status CallWithNothing(const std::shared_ptr<grpc::Channel>& channel,
                                                  const std::string& method) {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, absl::Seconds(20));
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  grpc::GenericStub(channel).UnaryCall(
      &context, method, {}, &request, &response,
      [&](grpc::Status result) { status.set_value(std::move(result)); });
  return status.get_future().get();
}

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_EMPTY_CALL_H_
