#include "common/rpc/server.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/deadline.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/keepalive.h"
#include "common/rpc/metrics_interceptor.h"
#include "common/rpc/refusal.h"
#include "common/tls/handshake_watch.h"

namespace mellow::rpc {
namespace {

// While the server drains, how often idle connections are looked for.
constexpr std::chrono::milliseconds kCloseIdleEvery(50);

// Room for one message of grpc.health.v1.
constexpr int kHealthMessageBytes = 4096;
constexpr int kHealthThreads = 8;
constexpr int kHealthStreams = 16;  // of one connection
// Who connects and says nothing holds a socket that long (gRPC's own: two minutes).
constexpr int kHandshakeMs = 10000;

// What gRPC may hold for messages that still arrive before it cancels some of them
// (RESOURCE_EXHAUSTED), closes idle connections and takes no new ones: room for some of the
// largest.
constexpr size_t kLeastQuotaBytes = size_t{1} << 30;
constexpr size_t kQuotaMessages = 8;

// Takes out of one server what gRPC puts into all of a process.
class NoReflection : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const std::unique_ptr<grpc::ServerBuilderPlugin>& plugin) {
      return dynamic_cast<grpc::reflection::ProtoServerReflectionPlugin*>(plugin.get()) != nullptr;
    });
  }
};

absl::Status CannotListen(const std::string& address) {
  return absl::UnavailableError(absl::StrCat(
      "cannot listen on ", address, " (is the port in use, or the host not of this machine?)"));
}

absl::Status CheckAddress(const std::string& flag, const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535)
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", address, ": expected HOST:PORT"));
  return absl::OkStatus();
}

// protobuf makes what describes a file's messages when it is first asked for, under a lock that an
// allocation which fails there would leave locked for ever: before there are calls, then.
void MakeReflection(const std::string& service_name) {
  const google::protobuf::ServiceDescriptor* const service =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service_name);
  if (service == nullptr) return;
  google::protobuf::MessageFactory* const messages =
      google::protobuf::MessageFactory::generated_factory();
  for (int i = 0; i < service->method_count(); ++i) {
    for (const auto* type : {service->method(i)->input_type(), service->method(i)->output_type()})
      (void)messages->GetPrototype(type)->GetReflection();
  }
}

}  // namespace

absl::Status ServerOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(CheckAddress("--address", address));
  if (!health_address.empty())
    MELLOW_RETURN_IF_ERROR(CheckAddress("--insecure-health-address", health_address));
  if (max_message_bytes < 1024)
    return absl::InvalidArgumentError(
        absl::StrCat("max_message_bytes ", max_message_bytes, ": at least 1024"));
  if (max_threads < 2)
    return absl::InvalidArgumentError(absl::StrCat("max_threads ", max_threads, ": at least 2"));
  if (max_streams_per_connection < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_streams_per_connection ", max_streams_per_connection, ": at least 1"));
  }
  if (max_connection_age < absl::Milliseconds(1) || max_connection_age > absl::Hours(24))
    return absl::InvalidArgumentError(absl::StrCat(
        "max_connection_age ", absl::FormatDuration(max_connection_age), ": between 1ms and 24h"));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      std::vector<grpc::Service*> services,
                                                      std::vector<std::string> service_names,
                                                      obs::Metrics* metrics) {
  MELLOW_RETURN_IF_ERROR(options.Validate());
  static const bool plugins = [] {
    LogErrorsOfGrpc();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)plugins;

  auto server = std::unique_ptr<Server>(new Server());
  (void)OutOfMemory();  // made while there is memory
  for (const std::string& name : service_names) MakeReflection(name);
  server->service_names_ = std::move(service_names);
  server->service_names_.emplace_back();  // "" stands for the whole server
  server->host_ = options.address.substr(0, options.address.rfind(':'));

  grpc::ServerBuilder builder;
  // Without this two servers share a port in silence and each gets half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             ToMilliseconds(options.max_connection_age));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             ToMilliseconds(kKeepaliveInterval / 2));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_streams_per_connection);
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (options.security.has_value()) {
    const obs::Counter failures =
        metrics->AddCounter("mellow_rpc_server_handshake_failures_total",
                            "Connections whose TLS handshake failed, whatever the reason.");
    const auto failed = [failures] { failures.Increment(); };
    server->handshakes_ = std::make_unique<tls::HandshakeWatch>(failed);
    credentials = MakeServerCredentials(*options.security, RefusalCounter(metrics), failed);
  }
  builder.AddListeningPort(options.address, credentials, &server->port_);
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  grpc::ResourceQuota quota("mellow");
  quota.SetMaxThreads(options.max_threads);
  quota.Resize(
      std::max(kLeastQuotaBytes, kQuotaMessages * static_cast<size_t>(options.max_message_bytes)));
  builder.SetResourceQuota(quota);
  for (grpc::Service* service : services) builder.RegisterService(service);
  if (!options.reflection) builder.SetOption(std::make_unique<NoReflection>());
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(
      MakeMetricsInterceptorFactory(metrics, server->calls_.get(), server->service_names_));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) return CannotListen(options.address);
  if (!options.health_address.empty()) MELLOW_RETURN_IF_ERROR(server->StartHealth(options));
  server->SetServing(false);
  return server;
}

absl::Status Server::StartHealth(const ServerOptions& options) {
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddListeningPort(options.health_address, grpc::InsecureServerCredentials(),
                           &health_port_);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kHealthStreams);
  builder.SetMaxReceiveMessageSize(kHealthMessageBytes);
  grpc::ResourceQuota quota("mellow-health");
  quota.SetMaxThreads(kHealthThreads);
  builder.SetResourceQuota(quota);
  builder.SetOption(std::make_unique<NoReflection>());
  // gRPC starts no server that has nothing but its own health service.
  unimplemented_ = std::make_unique<grpc::CallbackGenericService>();
  builder.RegisterCallbackGenericService(unimplemented_.get());
  health_server_ = builder.BuildAndStart();
  if (health_server_ == nullptr || health_port_ == 0) return CannotListen(options.health_address);
  return absl::OkStatus();
}

Server::Server() : calls_(std::make_unique<CallsInProgress>()) {}

Server::~Server() {
  if (server_ != nullptr) Shutdown(absl::ZeroDuration());
}

std::string Server::address() const { return absl::StrCat(host_, ":", port_); }

void Server::SetServing(bool serving) {
  for (grpc::Server* server : {server_.get(), health_server_.get()}) {
    if (server == nullptr) continue;
    for (const std::string& name : service_names_)
      server->GetHealthCheckService()->SetServingStatus(name, serving);
  }
}

void Server::Shutdown(absl::Duration drain) {
  SetServing(false);
  const SteadyTime deadline = SteadyTime::Now() + drain;
  // gRPC also waits until every client has closed its connection, and an idle client looks at its
  // socket only every few seconds; two services that stop together would wait for each other. So
  // once no call is in progress the connections are closed from here.
  std::promise<void> stopped;
  std::thread closer([&, end = stopped.get_future()] {
    while (end.wait_for(kCloseIdleEvery) != std::future_status::ready) {
      if (calls_->WaitForNone(deadline)) grpc_server_cancel_all_calls(server_->c_server());
    }
  });
  server_->Shutdown(ToGrpc(deadline));
  stopped.set_value();
  closer.join();
  server_->Wait();
  if (health_server_ != nullptr) {
    // The last to go: until then it says NOT_SERVING. Watches end with it.
    health_server_->Shutdown(ToGrpc(SteadyTime::Now()));
    health_server_->Wait();
  }
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() { return server_->InProcessChannel({}); }

}  // namespace mellow::rpc
