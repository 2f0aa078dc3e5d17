#include "tests/testing/limited_methods.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"

namespace mellow::testing {
namespace {

grpc::Status CallWithNothing(grpc::GenericStub* stub, const std::string& method) {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, absl::Seconds(20));
  const grpc::ByteBuffer request(std::vector<grpc::Slice>(1).data(), 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  stub->UnaryCall(&context, method, {}, &request, &response,
                  [&](grpc::Status result) { status.set_value(std::move(result)); });
  return status.get_future().get();
}

}  // namespace

std::vector<std::string> MethodsWithoutLimits(grpc::Service* service,
                                              const std::string& full_name) {
  obs::Metrics metrics;
  const auto server = rpc::Server::Start({}, {service}, {full_name}, &metrics);
  if (!server.ok()) return {server.status().ToString()};
  grpc::GenericStub stub(rpc::MakeChannel((*server)->address()));
  const google::protobuf::ServiceDescriptor* methods =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(full_name);
  if (methods == nullptr) return {full_name};
  std::vector<std::string> unlimited;
  for (int i = -1; i < methods->method_count(); ++i) {
    const std::string& name = methods->method(std::max(i, 0))->name();
    const grpc::Status status = CallWithNothing(&stub, absl::StrCat("/", full_name, "/", name));
    if (i >= 0 && status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED)
      unlimited.push_back(absl::StrCat(name, ": ", status.error_code()));
  }
  return unlimited;
}

}  // namespace mellow::testing
