#include "common/rpc/client.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/status.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace mellow::rpc {
namespace {

constexpr absl::Duration kConnectPatience = absl::Milliseconds(300);
// How long one attempt to connect may take. With TLS several round trips and signatures are in it.
constexpr int kPlainConnectMs = 100;
constexpr int kTlsConnectMs = 2000;

std::shared_ptr<grpc::ChannelCredentials>& ProcessCredentials() {
  static auto* credentials = new std::shared_ptr<grpc::ChannelCredentials>();
  return *credentials;
}

std::shared_ptr<grpc::Channel> Make(const std::string& address,
                                    const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                    int connect_ms) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(64 << 20);
  args.SetMaxSendMessageSize(64 << 20);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ms);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetLoadBalancingPolicyName("round_robin");
  // A process may talk to a peer that is killed and comes back on another port: never share such a
  // connection's backoff state.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Loopback and cluster addresses do not go through a web proxy.
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, credentials, args);
}

}  // namespace

void UseChannelCredentials(std::shared_ptr<grpc::ChannelCredentials> credentials) {
  ProcessCredentials() = std::move(credentials);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  if (ProcessCredentials() != nullptr) return MakeChannel(address, ProcessCredentials());
  return Make(address, grpc::InsecureChannelCredentials(), kPlainConnectMs);
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  return Make(address, credentials, kTlsConnectMs);
}

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout) {
  if (timeout != absl::InfiniteDuration())
    context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& address,
                         absl::Duration timeout) {
  // A connection is only worked on while somebody waits for something; a call that fails at once
  // because there is none yet does not wait, and then gRPC looks after it every five seconds.
  (void)channel->WaitForConnected(
      absl::ToChronoTime(absl::Now() + std::min(timeout, kConnectPatience)));
  auto stub = grpc::health::v1::Health::NewStub(channel);
  grpc::ClientContext context;
  SetTimeout(&context, timeout);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, {}, &response);
  if (!status.ok())
    return absl::UnavailableError(absl::StrCat(address, ": ", status.error_message()));
  if (response.status() != grpc::health::v1::HealthCheckResponse::SERVING)
    return absl::UnavailableError(absl::StrCat(address, ": not serving"));
  return absl::OkStatus();
}

}  // namespace mellow::rpc
