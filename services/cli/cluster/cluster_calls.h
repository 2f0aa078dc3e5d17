#ifndef MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_CALLS_H_
#define MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_CALLS_H_

// Calls to whichever policy or reward server of a cluster answers: in turn, and again with growing
// pauses while one restarts or is full.

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"
#include "mellow/policy/v1/policy.pb.h"
#include "mellow/reward/v1/reward.pb.h"
#include "services/cli/cluster/run_names.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace mellow::cli {

// Thread-safe. Errors as the services', NotFound when no cluster runs in the folder,
// InvalidArgument for a request that is larger than the servers take.
class ClusterCalls {
 public:
  // `patience`: how long a call is repeated while no server takes it.
  ClusterCalls(std::string folder, absl::Duration patience)
      : folder_(std::move(folder)), patience_(patience) {}

  [[nodiscard]] absl::StatusOr<policy::v1::SummarizeResponse> Summarize(
      const policy::v1::SummarizeRequest& request);
  [[nodiscard]] absl::StatusOr<policy::v1::GenerateResponse> Generate(
      const policy::v1::GenerateRequest& request);
  [[nodiscard]] absl::StatusOr<reward::v1::ScoreResponse> Score(
      const reward::v1::ScoreRequest& request);
  [[nodiscard]] absl::StatusOr<policy::v1::ScoreTokensResponse> ScoreTokens(
      const policy::v1::ScoreTokensRequest& request);
  // Asks one of the servers.
  [[nodiscard]] absl::StatusOr<policy::v1::GetInfoResponse> PolicyInfo();
  [[nodiscard]] absl::StatusOr<reward::v1::GetInfoResponse> RewardInfo();
  // What GetInfo calls model_sha256, of every server that answers; empty: none knows.
  // FailedPrecondition: they serve different models (two are named).
  [[nodiscard]] absl::StatusOr<std::string> PolicyModelHash() const;
  [[nodiscard]] absl::StatusOr<std::string> RewardModelHash() const;
  // Oldest first, version 0 included.
  [[nodiscard]] absl::StatusOr<policy::v1::ListAdaptersResponse> ListAdapters();
  // What the orchestrator keeps.
  [[nodiscard]] absl::StatusOr<KeptAdapters> AskKept() const;
  // The version that a person names: "base" (0), "newest", a number, RUN@STEP, or "champion", which
  // no version is (nullopt: the server decides, call by call). What the policy servers do not have
  // and the orchestrator keeps is given to them when it is asked for. NotFound: neither has it,
  // with those that the servers have, or as FindKept; InvalidArgument: none of these.
  [[nodiscard]] absl::StatusOr<std::optional<int64_t>> FindAdapter(const std::string& name);

 private:
  // The method of one server after the other, until one answers or patience ends.
  template <typename Method, typename Request>
  auto Retry(const char* role, absl::Duration timeout, Method method, const Request& request);

  // Retry at the policy servers. A version that they do not have (anymore) is loaded first, if the
  // orchestrator keeps it.
  template <typename Method, typename Request>
  auto RetryAdapted(absl::Duration timeout, Method method, const Request& request);
  absl::Status Load(int64_t version, int64_t loads_seen);

  struct Server {
    std::string name;  // for messages
    std::shared_ptr<grpc::Channel> channel;
  };
  absl::StatusOr<Server> Next(const char* role);

  const std::string folder_;
  const absl::Duration patience_;
  std::atomic<size_t> turn_{0};
  Mutex load_mutex_;               // one load at a time; before mutex_
  std::atomic<int64_t> loads_{0};  // done
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_
      ABSL_GUARDED_BY(mutex_);  // by address
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_CALLS_H_
