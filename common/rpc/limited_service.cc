#include "common/rpc/limited_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message_lite.h>
#include <grpcpp/support/method_handler.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/steady_time.h"

namespace mellow::rpc {
namespace {

using grpc::internal::MethodHandler;

// "ipv4:10.0.0.1:4242", "ipv6:%5B::1%5D:4242": without the port, which every connection has anew.
std::string HostOf(const std::string& peer) {
  const size_t kind = peer.find(':');
  const size_t port = peer.rfind(':');
  if (kind == std::string::npos || port <= kind) return peer;
  return absl::StrReplaceAll(peer.substr(kind + 1, port - kind - 1), {{"%5B", "["}, {"%5D", "]"}});
}

class LimitedHandler : public MethodHandler {
 public:
  // `inner` belongs to the other service.
  LimitedHandler(MethodHandler* inner, CallLimiter* limiter) : inner_(inner), limiter_(limiter) {}

  void RunHandler(const HandlerParameter& parameter) override {
    std::string client;
    const absl::Status status = limiter_->Enter(parameter.server_context, &client);
    if (!status.ok()) return Refuse(parameter, std::string(status.message()));
    inner_->RunHandler(parameter);
    if (!client.empty()) limiter_->Leave(client);
  }

  void* Deserialize(grpc_call* call, grpc_byte_buffer* request, grpc::Status* status,
                    void** handler_data) override {
    return inner_->Deserialize(call, request, status, handler_data);
  }

 private:
  static void Refuse(const HandlerParameter& parameter, const std::string& message) {
    // The inner handler would have destroyed the request that it parsed into the call's arena.
    // Generated messages have one base class, which is where they begin.
    if (parameter.request != nullptr && parameter.status.ok())
      static_cast<google::protobuf::MessageLite*>(parameter.request)->~MessageLite();
    grpc::internal::ResourceExhaustedHandler(message).RunHandler(parameter);
  }

  MethodHandler* const inner_;
  CallLimiter* const limiter_;
};

// Opens what grpc::Service gives to its generated subclasses.
class LimitedService : public grpc::Service {
 public:
  LimitedService(grpc::Service* inner, const google::protobuf::ServiceDescriptor& descriptor,
                 CallLimiter* limiter) {
    for (int i = 0; i < descriptor.method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *descriptor.method(i);
      names_.push_back(absl::StrCat("/", descriptor.full_name(), "/", method.name()));
      // Generated code adds its methods in the order of the proto file.
      MethodHandler* handler = (inner->*&LimitedService::GetHandler)(i);
      AddMethod(new grpc::internal::RpcServiceMethod(names_.back().c_str(), TypeOf(method),
                                                     new LimitedHandler(handler, limiter)));
    }
  }

 private:
  static grpc::internal::RpcMethod::RpcType TypeOf(
      const google::protobuf::MethodDescriptor& method) {
    if (method.client_streaming()) {
      return method.server_streaming() ? grpc::internal::RpcMethod::BIDI_STREAMING
                                       : grpc::internal::RpcMethod::CLIENT_STREAMING;
    }
    return method.server_streaming() ? grpc::internal::RpcMethod::SERVER_STREAMING
                                     : grpc::internal::RpcMethod::NORMAL_RPC;
  }

  std::list<std::string> names_;  // gRPC keeps pointers to them
};

}  // namespace

CallLimiter::CallLimiter(ClientLimits::Options options, std::shared_ptr<const TokenTable> tokens,
                         std::set<std::string> exempt, CountRefusal count)
    : limits_(options),
      tokens_(std::move(tokens)),
      exempt_(std::move(exempt)),
      count_(std::move(count)) {}

std::string CallLimiter::ClientOf(const grpc::ServerContextBase& context) const {
  const absl::StatusOr<Caller> caller = IdentifyCaller(
      PeerUris(*context.auth_context()), Authorization(context.client_metadata()), tokens_.get());
  if (!caller.ok()) return HostOf(context.peer());
  return exempt_.count(caller->role) != 0 ? "" : caller->Key();
}

absl::Status CallLimiter::Enter(grpc::ServerContextBase* context, std::string* client) {
  *client = ClientOf(*context);
  if (client->empty()) return absl::OkStatus();
  const ClientLimits::Decision decision = limits_.Enter(*client, SteadyTime::Now());
  if (decision.refusal.empty()) return absl::OkStatus();
  count_(decision.refusal);
  if (decision.refusal == "concurrency") {
    return absl::ResourceExhaustedError(
        absl::StrCat("client ", *client, " has ", limits_.options().concurrency,
                     " calls in progress, which is its limit; wait for one of them"));
  }
  if (decision.refusal == "rate") {
    const int64_t wait_ms =
        absl::ToInt64Milliseconds(absl::Ceil(decision.wait, absl::Milliseconds(1)));
    context->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(wait_ms));
    return absl::ResourceExhaustedError(
        absl::StrCat("client ", *client, ": more than ", limits_.options().rate,
                     " calls a second; try again in ", wait_ms, " ms"));
  }
  return absl::ResourceExhaustedError("too many clients at once; try again later");
}

void CallLimiter::Leave(const std::string& client) { limits_.Leave(client); }

absl::StatusOr<std::unique_ptr<grpc::Service>> MakeLimitedService(grpc::Service* service,
                                                                  const std::string& full_name,
                                                                  CallLimiter* limiter) {
  const google::protobuf::ServiceDescriptor* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(full_name);
  if (descriptor == nullptr)
    return absl::NotFoundError(absl::StrCat("no service ", full_name, " in this program"));
  return std::make_unique<LimitedService>(service, *descriptor, limiter);
}

}  // namespace mellow::rpc
