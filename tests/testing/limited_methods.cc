#include "tests/testing/limited_methods.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "services/wire/methods.h"
#include "tests/testing/one_call.h"

namespace mellow::testing {
namespace {

constexpr int64_t kOneText = 2000;
constexpr int64_t kLargest = 3000;

// A message of any type, of at least so many bytes.
std::string Padding(int64_t bytes) {
  google::protobuf::UnknownFieldSet fields;
  fields.AddLengthDelimited(12345)->assign(static_cast<size_t>(bytes), 'x');
  std::string message;
  fields.SerializeToString(&message);
  return message;
}

}  // namespace

std::vector<std::string> MethodsWithoutLimits(
    const std::function<std::unique_ptr<grpc::Service>(rpc::CallLimiter*)>& make,
    const std::string& full_name) {
  const auto count = [](const std::string&) {};
  const rpc::MessageLimits sizes = wire::MessageLimitsOf(kOneText, kLargest);
  rpc::CallLimiter by_rate({.rate = 1e-6}, nullptr, {}, count);
  rpc::CallLimiter by_size({}, nullptr, {}, count, sizes);
  const google::protobuf::ServiceDescriptor* methods =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(full_name);
  if (methods == nullptr) return {full_name};

  std::vector<std::string> unlimited;
  const auto check = [&](const std::string& method, const grpc::Status& status,
                         const std::vector<std::string>& says,
                         grpc::StatusCode code = grpc::StatusCode::RESOURCE_EXHAUSTED) {
    const bool refused = status.error_code() == code &&
                         std::all_of(says.begin(), says.end(), [&](const std::string& part) {
                           return absl::StrContains(status.error_message(), part);
                         });
    if (!refused && status.error_code() != grpc::StatusCode::UNIMPLEMENTED)
      unlimited.push_back(
          absl::StrCat(method, ": ", status.error_code(), " ", status.error_message()));
  };
  for (rpc::CallLimiter* limiter : {&by_rate, &by_size}) {
    obs::Metrics metrics;
    const auto service = make(limiter);
    // What needs most has gRPC's own limit.
    const auto server = rpc::Server::Start({.max_message_bytes = static_cast<int>(kLargest) + 1000},
                                           {service.get()}, {full_name}, &metrics);
    if (!server.ok()) return {server.status().ToString()};
    const auto channel = rpc::MakeChannel((*server)->address());
    const auto path = [&](int i) {
      return absl::StrCat("/", full_name, "/", methods->method(i)->name());
    };
    if (limiter == &by_rate) (void)CallWith(channel, path(0), "");
    for (int i = 0; i < methods->method_count(); ++i) {
      if (limiter == &by_rate) {
        check(path(i), CallWith(channel, path(i), ""), {});
      } else if (methods->method(i)->client_streaming()) {
        check(path(i), CallWith(channel, path(i), Padding(kLargest + 1000)), {"larger than max"});
      } else {
        const int64_t limit = sizes.at(path(i));
        check(path(i), CallWith(channel, path(i), Padding(limit)),
              {path(i), absl::StrCat("at most ", limit), "a request of"},
              grpc::StatusCode::INVALID_ARGUMENT);
      }
    }
  }
  return unlimited;
}

}  // namespace mellow::testing
