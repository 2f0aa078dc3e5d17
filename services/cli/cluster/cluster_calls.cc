#include "services/cli/cluster/cluster_calls.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/nearest_name.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/call.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "mellow/reward/v1/reward.grpc.pb.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/files/step_name.h"

namespace mellow::cli {
namespace {

using PolicyStub = policy::v1::PolicyService::Stub;
using RewardStub = reward::v1::RewardService::Stub;

constexpr absl::Duration kWorkTimeout = absl::Minutes(30);
constexpr absl::Duration kShortCallTimeout = absl::Seconds(10);
constexpr size_t kHashDigitsShown = 12;
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetryPause = absl::Seconds(2);

// `get_info`: the role's method.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<std::string> OneModel(const std::string& folder, const char* role,
                                     grpc::Status (Stub::*get_info)(grpc::ClientContext*,
                                                                    const Request&, Response*)) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> servers, ServicesOfRole(folder, role));
  std::string hash;
  std::string whose;
  for (const ServiceEntry& server : servers) {
    const auto info = rpc::Call(rpc::MakeChannel(server.address), server.name, kShortCallTimeout,
                                get_info, Request());
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

absl::StatusOr<ClusterCalls::Server> ClusterCalls::Next(const char* role) {
  // Read every time: a restarted server may have another address.
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> servers, ServicesOfRole(folder_, role));
  const std::string& address = servers[turn_++ % servers.size()].address;
  MutexLock lock(&mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) channel = rpc::MakeChannel(address);
  return Server{absl::StrCat(role, " at ", address), channel};
}

template <typename Method, typename Request>
auto ClusterCalls::Retry(const char* role, absl::Duration timeout, Method method,
                         const Request& request) {
  using Answer = decltype(rpc::Call(nullptr, "", timeout, method, request));
  const auto call = [&]() -> Answer {
    const SteadyTime deadline = SteadyTime::Now() + patience_;
    absl::Duration pause = kFirstPause;
    while (true) {
      MELLOW_ASSIGN_OR_RETURN(const Server server, Next(role));
      Answer answer = rpc::Call(server.channel, server.name, timeout, method, request);
      if (answer.ok() || !rpc::IsRetryable(answer.status()) || SteadyTime::Now() + pause > deadline)
        return answer;
      absl::SleepFor(pause);
      pause = std::min(pause * 2, kLongestRetryPause);
    }
  };
  return call();
}

absl::Status ClusterCalls::Load(int64_t version, int64_t loads_seen) {
  MutexLock lock(&load_mutex_);
  // Another call has loaded something meanwhile: most likely the same.
  if (loads_ != loads_seen) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator, ConnectOrchestrator(folder_));
  MELLOW_RETURN_IF_ERROR(orchestrator->LoadAdapter(version));
  ++loads_;
  return absl::OkStatus();
}

template <typename Method, typename Request>
auto ClusterCalls::RetryAdapted(absl::Duration timeout, Method method, const Request& request) {
  int64_t seen = loads_;
  auto answer = Retry("policy", timeout, method, request);
  const SteadyTime deadline = SteadyTime::Now() + patience_;
  absl::Duration pause;
  // A node forgets it when it restarts, or when others have been loaded since; one that is not
  // verified just then is left out.
  while (request.adapter_version() > 0 && absl::IsNotFound(answer.status())) {
    const absl::Status loaded = Load(request.adapter_version(), seen);
    // Who may not ask for it, or asks for what is not kept, is told by the node what there is.
    if (absl::IsNotFound(loaded) || absl::IsPermissionDenied(loaded) ||
        absl::IsUnauthenticated(loaded) || absl::IsUnimplemented(loaded))
      break;
    if (!loaded.ok() && !rpc::IsRetryable(loaded)) return decltype(answer)(loaded);
    if (SteadyTime::Now() + pause > deadline) break;
    absl::SleepFor(pause);
    pause = std::min(std::max(pause * 2, kFirstPause), kLongestRetryPause);
    seen = loads_;
    answer = Retry("policy", timeout, method, request);
  }
  return answer;
}

absl::StatusOr<policy::v1::SummarizeResponse> ClusterCalls::Summarize(
    const policy::v1::SummarizeRequest& request) {
  return RetryAdapted(kWorkTimeout, &PolicyStub::Summarize, request);
}

absl::StatusOr<policy::v1::GenerateResponse> ClusterCalls::Generate(
    const policy::v1::GenerateRequest& request) {
  return RetryAdapted(kWorkTimeout, &PolicyStub::Generate, request);
}

absl::StatusOr<reward::v1::ScoreResponse> ClusterCalls::Score(
    const reward::v1::ScoreRequest& request) {
  return Retry("reward", kWorkTimeout, &RewardStub::Score, request);
}

absl::StatusOr<policy::v1::ScoreTokensResponse> ClusterCalls::ScoreTokens(
    const policy::v1::ScoreTokensRequest& request) {
  return RetryAdapted(kWorkTimeout, &PolicyStub::ScoreTokens, request);
}

absl::StatusOr<policy::v1::GetInfoResponse> ClusterCalls::PolicyInfo() {
  return Retry("policy", kShortCallTimeout, &PolicyStub::GetInfo, policy::v1::GetInfoRequest());
}

absl::StatusOr<reward::v1::GetInfoResponse> ClusterCalls::RewardInfo() {
  return Retry("reward", kShortCallTimeout, &RewardStub::GetInfo, reward::v1::GetInfoRequest());
}

absl::StatusOr<std::string> ClusterCalls::PolicyModelHash() const {
  return OneModel(folder_, "policy", &PolicyStub::GetInfo);
}

absl::StatusOr<std::string> ClusterCalls::RewardModelHash() const {
  return OneModel(folder_, "reward", &RewardStub::GetInfo);
}

absl::StatusOr<policy::v1::ListAdaptersResponse> ClusterCalls::ListAdapters() {
  return Retry("policy", kShortCallTimeout, &PolicyStub::ListAdapters,
               policy::v1::ListAdaptersRequest());
}

absl::StatusOr<KeptAdapters> ClusterCalls::AskKept() const {
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator, ConnectOrchestrator(folder_));
  return ListKept(orchestrator.get());
}

absl::StatusOr<std::optional<int64_t>> ClusterCalls::FindAdapter(const std::string& name) {
  if (name == "champion") return std::nullopt;
  int64_t wanted = 0;
  const bool number = absl::SimpleAtoi(name, &wanted);
  if (name == "base" || (number && wanted == 0)) return 0;
  const std::optional<StepName> step = ParseStepName(name);
  if (name != "newest" && !step && !number)
    return absl::InvalidArgumentError(
        absl::StrCat("adapter ", name, ": base, newest, champion, a version or RUN@STEP is needed",
                     DidYouMean(name, {"base", "newest", "champion"})));
  if (step) {
    MELLOW_ASSIGN_OR_RETURN(const KeptAdapters kept, AskKept());
    MELLOW_ASSIGN_OR_RETURN(const orchestrator::v1::KeptAdapter found, FindKept(kept, *step));
    return found.adapter().version();
  }
  const absl::StatusOr<policy::v1::ListAdaptersResponse> answer = ListAdapters();
  // Servers of earlier versions do not list them to users; with a number they answer all the same.
  if (number && absl::IsPermissionDenied(answer.status())) return wanted;
  MELLOW_RETURN_IF_ERROR(answer.status());
  std::set<int64_t> versions;
  for (const common::v1::AdapterRef& adapter : answer->adapters())
    versions.insert(adapter.version());
  if (name == "newest" && !versions.empty()) wanted = *versions.rbegin();
  if (versions.contains(wanted)) return wanted;
  // Whoever may not ask the orchestrator has what the nodes have.
  const KeptAdapters kept = AskKept().value_or(KeptAdapters{});
  for (const orchestrator::v1::KeptAdapter& adapter : kept.adapters) {
    if (adapter.adapter().version() == wanted && adapter.has_files()) return wanted;
  }
  return NoSuchVersion(wanted, versions, kept);
}

}  // namespace mellow::cli
