#ifndef MELLOW_SERVICES_CLI_CLUSTER_REWARD_CLIENT_H_
#define MELLOW_SERVICES_CLI_CLUSTER_REWARD_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "mellow/reward/v1/reward.pb.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace mellow::cli {

// One reward server as the CLI uses it. Errors carry the server's message and name its address.
// Thread-safe.
class RewardClient {
 public:
  explicit RewardClient(const std::string& address);
  [[nodiscard]] absl::StatusOr<reward::v1::ScoreResponse> Score(
      const reward::v1::ScoreRequest& request, absl::Duration timeout) const;
  [[nodiscard]] absl::StatusOr<reward::v1::GetInfoResponse> GetInfo(absl::Duration timeout) const;

 private:
  std::string peer_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_REWARD_CLIENT_H_
