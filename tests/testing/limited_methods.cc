#include "tests/testing/limited_methods.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "tests/testing/empty_call.h"

namespace mellow::testing {

std::vector<std::string> MethodsWithoutLimits(grpc::Service* service,
                                              const std::string& full_name) {
  obs::Metrics metrics;
  const auto server = rpc::Server::Start({}, {service}, {full_name}, &metrics);
  if (!server.ok()) return {server.status().ToString()};
  const auto channel = rpc::MakeChannel((*server)->address());
  const google::protobuf::ServiceDescriptor* methods =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(full_name);
  if (methods == nullptr) return {full_name};
  std::vector<std::string> unlimited;
  for (int i = -1; i < methods->method_count(); ++i) {
    const std::string& name = methods->method(std::max(i, 0))->name();
    const grpc::Status status = CallWithNothing(channel, absl::StrCat("/", full_name, "/", name));
    if (i >= 0 && status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED &&
        status.error_code() != grpc::StatusCode::UNIMPLEMENTED)
      unlimited.push_back(absl::StrCat(name, ": ", status.error_code()));
  }
  return unlimited;
}

}  // namespace mellow::testing
