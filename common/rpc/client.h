#ifndef MELLOW_COMMON_RPC_CLIENT_H_
#define MELLOW_COMMON_RPC_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace mellow::rpc {

// How this process reaches servers; absent: plaintext. For channels made afterwards; once, in
// main(), before any other thread makes one.
void UseChannelCredentials(std::shared_ptr<grpc::ChannelCredentials> credentials);

// A channel that reconnects within a second and carries messages of up to 64 MiB. Never blocks,
// never fails: errors come with the calls. Several addresses behind one DNS name are used in turn
// (round_robin); the name is looked up again whenever a connection ends. A connection that has
// fallen silent is noticed within half a minute.
[[nodiscard]] std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);
// The same over TLS with other credentials than the process's.
[[nodiscard]] std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// Sets the deadline of a call.
void SetTimeout(grpc::ClientContext* context, absl::Duration timeout);

// One grpc.health.v1 Check. OK: SERVING. Unavailable: anything else, with the address.
[[nodiscard]] absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                                       const std::string& address, absl::Duration timeout);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CLIENT_H_
