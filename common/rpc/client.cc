#include "common/rpc/client.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "common/rpc/deadline.h"
#include "common/rpc/keepalive.h"
#include "common/rpc/status.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace mellow::rpc {
namespace {

constexpr absl::Duration kConnectPatience = absl::Milliseconds(300);
// How long one attempt to connect may take. With TLS several round trips and signatures are in it.
constexpr int kConnectMs = 5000;

std::shared_ptr<grpc::ChannelCredentials>& ProcessCredentials() {
  static auto* credentials = new std::shared_ptr<grpc::ChannelCredentials>();
  return *credentials;
}

}  // namespace

void UseChannelCredentials(std::shared_ptr<grpc::ChannelCredentials> credentials) {
  ProcessCredentials() = std::move(credentials);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  return MakeChannel(address, ProcessCredentials() != nullptr ? ProcessCredentials()
                                                              : grpc::InsecureChannelCredentials());
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(64 << 20);
  args.SetMaxSendMessageSize(64 << 20);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Not a pause, whatever its name: the least time that an attempt to connect gets.
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetLoadBalancingPolicyName("round_robin");
  // A peer that came back elsewhere is found as soon as its name says so; gRPC's own pause is 30 s.
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  // A machine that vanished leaves connections on which nothing ever fails.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, ToMilliseconds(kKeepaliveInterval));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ToMilliseconds(kKeepaliveTimeout));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A process may talk to a peer that is killed and comes back on another port: never share such a
  // connection's backoff state.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Loopback and cluster addresses do not go through a web proxy.
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, credentials, args);
}

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout) {
  if (timeout != absl::InfiniteDuration())
    context->set_deadline(ToGrpc(SteadyTime::Now() + timeout));
}

absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& address,
                         absl::Duration timeout) {
  // A connection is only worked on while somebody waits for something; a call that fails at once
  // because there is none yet does not wait, and then gRPC looks after it every five seconds.
  (void)channel->WaitForConnected(ToGrpc(SteadyTime::Now() + std::min(timeout, kConnectPatience)));
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
