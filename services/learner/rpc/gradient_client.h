#ifndef MELLOW_SERVICES_LEARNER_RPC_GRADIENT_CLIENT_H_
#define MELLOW_SERVICES_LEARNER_RPC_GRADIENT_CLIENT_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "services/learner/workers/gradient_peer.h"

namespace mellow::learner {

// A worker over gRPC; `peer` is for messages.
[[nodiscard]] std::shared_ptr<GradientPeer> MakeGradientPeer(std::shared_ptr<grpc::Channel> channel,
                                                             std::string peer);
// At its address.
[[nodiscard]] std::shared_ptr<GradientPeer> ConnectToWorker(const WorkerNode& node);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_GRADIENT_CLIENT_H_
