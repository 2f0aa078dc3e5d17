#include "services/cli/cluster/cluster_calls.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "services/cli/cluster/cluster_file.h"

namespace mellow::cli {
namespace {

constexpr absl::Duration kCallTimeout = absl::Minutes(30);
constexpr absl::Duration kShortCallTimeout = absl::Seconds(10);
constexpr size_t kHashDigitsShown = 12;
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);
// The servers' default limit. gRPC answers a larger message as it answers a full queue, which is
// worth another try.
constexpr size_t kMaxRequestBytes = size_t{64} << 20;

absl::Status CheckSize(size_t bytes) {
  if (bytes <= kMaxRequestBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a request of ", bytes, " bytes: the servers take at most ", kMaxRequestBytes));
}

template <typename Client>
absl::StatusOr<std::string> OneModel(const std::string& folder, const char* role) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> servers, ServicesOfRole(folder, role));
  std::string hash;
  std::string whose;
  for (const ServiceEntry& server : servers) {
    const auto info = Client(server.address).GetInfo(kShortCallTimeout);
    // One that restarts is no reason to stop: calls go to the others meanwhile.
    if (!info.ok() || info->model_sha256().empty()) continue;
    const std::string name = absl::StrCat(server.name, " (", info->capacity().model(), ", sha256 ",
                                          info->model_sha256().substr(0, kHashDigitsShown), ")");
    if (!hash.empty() && hash != info->model_sha256()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the cluster in ", folder, " serves different models: ", whose, " and ", name));
    }
    hash = info->model_sha256();
    whose = name;
  }
  return hash;
}

}  // namespace

template <typename Client>
absl::StatusOr<std::shared_ptr<Client>> ClusterCalls::Next(
    const char* role, std::map<std::string, std::shared_ptr<Client>>* clients) {
  // Read every time: a restarted server may have another address.
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> servers, ServicesOfRole(folder_, role));
  const std::string& address = servers[turn_++ % servers.size()].address;
  MutexLock lock(&mutex_);
  std::shared_ptr<Client>& client = (*clients)[address];
  if (client == nullptr) client = std::make_shared<Client>(address);
  return client;
}

template <typename Client, typename Response, typename Call>
absl::StatusOr<Response> ClusterCalls::Persist(
    const char* role, std::map<std::string, std::shared_ptr<Client>>* clients, const Call& call) {
  const SteadyTime deadline = SteadyTime::Now() + patience_;
  absl::Duration pause = kFirstPause;
  while (true) {
    MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<Client> client, Next(role, clients));
    absl::StatusOr<Response> response = call(*client);
    if (response.ok() || !rpc::IsRetryable(response.status()) ||
        SteadyTime::Now() + pause > deadline)
      return response;
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

absl::StatusOr<policy::v1::SummarizeResponse> ClusterCalls::Summarize(
    const policy::v1::SummarizeRequest& request) {
  MELLOW_RETURN_IF_ERROR(CheckSize(request.ByteSizeLong()));
  return Persist<PolicyClient, policy::v1::SummarizeResponse>(
      "policy", &policies_,
      [&](const PolicyClient& c) { return c.Summarize(request, kCallTimeout); });
}

absl::StatusOr<policy::v1::GenerateResponse> ClusterCalls::Generate(
    const policy::v1::GenerateRequest& request) {
  MELLOW_RETURN_IF_ERROR(CheckSize(request.ByteSizeLong()));
  return Persist<PolicyClient, policy::v1::GenerateResponse>(
      "policy", &policies_,
      [&](const PolicyClient& c) { return c.Generate(request, kCallTimeout); });
}

absl::StatusOr<reward::v1::ScoreResponse> ClusterCalls::Score(
    const reward::v1::ScoreRequest& request) {
  MELLOW_RETURN_IF_ERROR(CheckSize(request.ByteSizeLong()));
  return Persist<RewardClient, reward::v1::ScoreResponse>(
      "reward", &rewards_, [&](const RewardClient& c) { return c.Score(request, kCallTimeout); });
}

absl::StatusOr<policy::v1::ScoreTokensResponse> ClusterCalls::ScoreTokens(
    const policy::v1::ScoreTokensRequest& request) {
  MELLOW_RETURN_IF_ERROR(CheckSize(request.ByteSizeLong()));
  return Persist<PolicyClient, policy::v1::ScoreTokensResponse>(
      "policy", &policies_,
      [&](const PolicyClient& c) { return c.ScoreTokens(request, kCallTimeout); });
}

absl::StatusOr<policy::v1::GetInfoResponse> ClusterCalls::PolicyInfo() {
  return Persist<PolicyClient, policy::v1::GetInfoResponse>(
      "policy", &policies_, [](const PolicyClient& c) { return c.GetInfo(kShortCallTimeout); });
}

absl::StatusOr<reward::v1::GetInfoResponse> ClusterCalls::RewardInfo() {
  return Persist<RewardClient, reward::v1::GetInfoResponse>(
      "reward", &rewards_, [](const RewardClient& c) { return c.GetInfo(kShortCallTimeout); });
}

absl::StatusOr<std::string> ClusterCalls::PolicyModelHash() const {
  return OneModel<PolicyClient>(folder_, "policy");
}

absl::StatusOr<std::string> ClusterCalls::RewardModelHash() const {
  return OneModel<RewardClient>(folder_, "reward");
}

absl::StatusOr<policy::v1::ListAdaptersResponse> ClusterCalls::ListAdapters() {
  return Persist<PolicyClient, policy::v1::ListAdaptersResponse>(
      "policy", &policies_,
      [](const PolicyClient& c) { return c.ListAdapters(kShortCallTimeout); });
}

absl::Status ClusterCalls::CheckAdapter(int64_t version) {
  MELLOW_ASSIGN_OR_RETURN(const policy::v1::ListAdaptersResponse answer, ListAdapters());
  std::vector<int64_t> versions;
  for (const common::v1::AdapterRef& adapter : answer.adapters())
    versions.push_back(adapter.version());
  if (std::find(versions.begin(), versions.end(), version) != versions.end())
    return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("no adapter version ", version, "; the cluster in ",
                                          folder_, " has ", absl::StrJoin(versions, ", ")));
}

}  // namespace mellow::cli
