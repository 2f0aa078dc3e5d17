#include "common/rpc/limited_service.h"

#include <google/protobuf/empty.pb.h>
#include <google/protobuf/message.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/support/method_handler.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"

namespace mellow::rpc {
namespace {

using google::protobuf::Empty;
using google::protobuf::Message;
using grpc::internal::MethodHandler;
using grpc::internal::RpcMethod;
using grpc::internal::RpcServiceMethod;

// gRPC tells nobody which methods of a service are synchronous. A private member may be named in an
// explicit instantiation.
using Methods = std::vector<std::unique_ptr<RpcServiceMethod>>;
const Methods& MethodsOf(const grpc::Service& service);
template <Methods grpc::Service::*member>
struct Opened {
  friend const Methods& MethodsOf(const grpc::Service& service) { return service.*member; }
};
template struct Opened<&grpc::Service::methods_>;

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

  void* Deserialize(grpc_call* call, grpc_byte_buffer* request, grpc::Status* status,
                    void** handler_data) final {
    return inner_->Deserialize(call, request, status, handler_data);
  }

 protected:
  absl::Status Enter(const HandlerParameter& parameter, CallLimiter::Taken* taken) {
    const bool parsed = parameter.request != nullptr && parameter.status.ok();
    return limiter_->Enter(parameter.server_context,
                           parsed ? static_cast<const Message*>(parameter.request) : nullptr,
                           taken);
  }
  // The inner handler would have destroyed the request that it parsed into the call's arena.
  // Generated messages have one base class, which is where they begin.
  static void Destroy(const HandlerParameter& parameter) {
    if (parameter.request != nullptr && parameter.status.ok())
      static_cast<Message*>(parameter.request)->~Message();
  }

  MethodHandler* const inner_;
  CallLimiter* const limiter_;
};

class LimitedSyncHandler : public LimitedHandler {
 public:
  using LimitedHandler::LimitedHandler;

  void RunHandler(const HandlerParameter& parameter) override {
    CallLimiter::Taken taken;
    const absl::Status status = Enter(parameter, &taken);
    if (!status.ok()) {
      Destroy(parameter);
      grpc::internal::ResourceExhaustedHandler(std::string(status.message())).RunHandler(parameter);
      return;
    }
    inner_->RunHandler(parameter);
    limiter_->Leave(taken);
  }
};

// The inner handler returns when it has begun; gRPC calls the requester when the call is over.
class LimitedCallbackHandler : public LimitedHandler {
 public:
  LimitedCallbackHandler(MethodHandler* inner, CallLimiter* limiter, RpcMethod::RpcType type)
      : LimitedHandler(inner, limiter), type_(type) {}

  void RunHandler(const HandlerParameter& parameter) override {
    CallLimiter::Taken taken;
    const absl::Status status = Enter(parameter, &taken);
    if (!status.ok()) return Refuse(parameter, status);
    inner_->RunHandler(HandlerParameter(
        parameter.call, parameter.server_context, parameter.request, parameter.status,
        parameter.internal_data, [limiter = limiter_, taken, over = parameter.call_requester] {
          limiter->Leave(taken);
          over();
        }));
  }

 private:
  template <typename Reactor>
  static Reactor* Refusing(const grpc::Status& status) {
    class Refused : public Reactor {
     public:
      explicit Refused(const grpc::Status& status) { this->Finish(status); }
      void OnDone() override { delete this; }
    };
    return new Refused(status);
  }

  void Refuse(const HandlerParameter& parameter, const absl::Status& status) const {
    const grpc::Status refused = ToGrpcStatus(status);
    // Neither of the two looks at the messages that they are made for.
    if (type_ == RpcMethod::NORMAL_RPC) {
      // The request is in the holder (internal_data), which this one releases as the inner would.
      grpc::internal::CallbackUnaryHandler<Empty, Empty>([&](grpc::CallbackServerContext*,
                                                             const Empty*, Empty*) {
        return Refusing<grpc::ServerUnaryReactor>(refused);
      }).RunHandler(parameter);
      return;
    }
    Destroy(parameter);
    grpc::internal::CallbackServerStreamingHandler<Empty, Empty>(
        [&](grpc::CallbackServerContext*, const Empty*) {
          return Refusing<grpc::ServerWriteReactor<Empty>>(refused);
        })
        .RunHandler(HandlerParameter(parameter.call, parameter.server_context, nullptr,
                                     grpc::Status::OK, parameter.internal_data,
                                     parameter.call_requester));
  }

  const RpcMethod::RpcType type_;
};

class LimitedService : public grpc::Service {
 public:
  LimitedService(const grpc::Service& inner, CallLimiter* limiter) {
    for (const auto& method : MethodsOf(inner)) {
      const RpcMethod::RpcType type = method->method_type();
      const bool sync = method->api_type() == RpcServiceMethod::ApiType::SYNC;
      // The name belongs to the inner service, which outlives this one.
      AddMethod(new RpcServiceMethod(
          method->name(), type,
          sync ? new LimitedSyncHandler(method->handler(), limiter) : nullptr));
      if (!sync)
        MarkMethodCallback(method_count_,
                           new LimitedCallbackHandler(method->handler(), limiter, type));
      ++method_count_;
    }
  }

 private:
  int method_count_ = 0;
};

}  // namespace

CallLimiter::CallLimiter(ClientLimits::Options options, std::shared_ptr<const TokenTable> tokens,
                         std::set<std::string> exempt, CountWork work, CountRefusal count)
    : limits_(options),
      tokens_(std::move(tokens)),
      exempt_(std::move(exempt)),
      work_(std::move(work)),
      count_(std::move(count)) {}

std::string CallLimiter::ClientOf(const grpc::ServerContextBase& context) const {
  const absl::StatusOr<Caller> caller = IdentifyCaller(
      PeerUris(*context.auth_context()), Authorization(context.client_metadata()), tokens_.get());
  if (!caller.ok()) return HostOf(context.peer());
  return exempt_.count(caller->role) != 0 ? "" : caller->Key();
}

absl::Status CallLimiter::Enter(grpc::ServerContextBase* context, const Message* request,
                                Taken* taken) {
  const std::string& client = taken->client = ClientOf(*context);
  if (client.empty()) return absl::OkStatus();
  if (request != nullptr && work_ != nullptr) taken->work = std::max<int64_t>(1, work_(*request));
  const ClientLimits::Decision decision = limits_.Enter(client, SteadyTime::Now(), taken->work);
  if (decision.refusal.empty()) return absl::OkStatus();
  count_(decision.refusal);
  const std::string counts =
      taken->work == 1 ? "" : absl::StrCat(" (this one counts as ", taken->work, ")");
  if (decision.refusal == "concurrency") {
    return absl::ResourceExhaustedError(
        absl::StrCat("client ", client, ": at most ", limits_.options().concurrency,
                     " calls in progress", counts, "; wait for one of them"));
  }
  if (decision.refusal == "rate") {
    const int64_t wait_ms =
        absl::ToInt64Milliseconds(absl::Ceil(decision.wait, absl::Milliseconds(1)));
    context->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(wait_ms));
    return absl::ResourceExhaustedError(absl::StrCat("client ", client, ": more than ",
                                                     limits_.options().rate, " calls per second",
                                                     counts, "; try again in ", wait_ms, " ms"));
  }
  return absl::ResourceExhaustedError("too many clients at once; try again later");
}

void CallLimiter::Leave(const Taken& taken) {
  if (!taken.client.empty()) limits_.Leave(taken.client, taken.work);
}

std::unique_ptr<grpc::Service> MakeLimitedService(grpc::Service* service, CallLimiter* limiter) {
  return std::make_unique<LimitedService>(*service, limiter);
}

}  // namespace mellow::rpc
