#ifndef MELLOW_TESTS_TESTING_ONE_CALL_H_
#define MELLOW_TESTS_TESTING_ONE_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/client.h"

namespace mellow::testing {

// Calls "/package.Service/Method", of whatever kind, with one message of these bytes; what it
// answers is dropped.
[[nodiscard]] inline grpc::Status CallWith(const std::shared_ptr<grpc::Channel>& channel,
                                           const std::string& method, const std::string& bytes) {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, absl::Seconds(20));
  const grpc::Slice message(bytes);
  const grpc::ByteBuffer request(&message, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  grpc::GenericStub(channel).UnaryCall(
      &context, method, {}, &request, &response,
      [&](grpc::Status result) { status.set_value(std::move(result)); });
  return status.get_future().get();
}

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_ONE_CALL_H_
