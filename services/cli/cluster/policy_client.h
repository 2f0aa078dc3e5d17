#ifndef MELLOW_SERVICES_CLI_CLUSTER_POLICY_CLIENT_H_
#define MELLOW_SERVICES_CLI_CLUSTER_POLICY_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "mellow/policy/v1/policy.pb.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace mellow::cli {

// One policy server as the CLI uses it. Errors carry the server's message and name its address.
// Thread-safe.
class PolicyClient {
 public:
  explicit PolicyClient(const std::string& address);

  [[nodiscard]] absl::StatusOr<policy::v1::SummarizeResponse> Summarize(
      const policy::v1::SummarizeRequest& request, absl::Duration timeout) const;
  [[nodiscard]] absl::StatusOr<policy::v1::GenerateResponse> Generate(
      const policy::v1::GenerateRequest& request, absl::Duration timeout) const;
  [[nodiscard]] absl::StatusOr<policy::v1::ScoreTokensResponse> ScoreTokens(
      const policy::v1::ScoreTokensRequest& request, absl::Duration timeout) const;
  [[nodiscard]] absl::StatusOr<policy::v1::GetInfoResponse> GetInfo(absl::Duration timeout) const;
  [[nodiscard]] absl::StatusOr<policy::v1::ListAdaptersResponse> ListAdapters(
      absl::Duration timeout) const;

 private:
  std::string peer_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_POLICY_CLIENT_H_
