// The clients of fake nodes, and a cluster of them.

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "services/orchestrator/base/canary.h"
#include "tests/services/orchestrator/fake_nodes.h"

namespace mellow::orchestrator {
namespace {

// What a call goes through: the death of the caller, and what a test puts in the way.
struct Link {
  FakeCluster* cluster;
  KillSwitch* kill;

  template <typename Call>
  auto Through(const std::string& name, const Call& call) const -> decltype(call()) {
    return kill->Through([&]() -> decltype(call()) {
      if (cluster->on_call) {
        if (absl::Status status = cluster->on_call(name); !status.ok()) return status;
      }
      return call();
    });
  }
};

class PolicyProxy : public PolicyClient {
 public:
  PolicyProxy(FakePolicy* node, Link link) : node_(node), link_(link) {}
  absl::StatusOr<GenerateAnswer> Generate(const GenerateCall& call, absl::Duration,
                                          std::stop_token stop) override {
    return link_.Through("policy.Generate", [&] { return node_->Generate(call, stop); });
  }
  absl::StatusOr<PairScores> ScoreTokens(absl::Span<const TokenPair> pairs, int64_t version,
                                         std::stop_token stop) override {
    return link_.Through("policy.ScoreTokens",
                         [&] { return node_->ScoreTokens(pairs, version, stop); });
  }
  absl::Status PublishAdapter(const AdapterRef& ref, const adapters::PeftFiles& files,
                              wire::Publication as, std::stop_token) override {
    return link_.Through("policy.PublishAdapter",
                         [&] { return node_->PublishAdapter(ref, files, as); });
  }
  absl::Status FetchAdapter(const AdapterRef& ref, const std::string& source, wire::Publication as,
                            std::stop_token) override {
    return link_.Through("policy.FetchAdapter", [&]() -> absl::Status {
      const std::vector<AdapterRef> there =
          link_.cluster->policies[std::stoi(source.substr(7))]->Report().adapters;
      if (std::find(there.begin(), there.end(), ref) == there.end())
        return absl::NotFoundError(absl::StrCat(source, " does not have the files"));
      ++node_->fetched;
      return node_->PublishAdapter(ref, {.safetensors = ref.sha256}, as);
    });
  }

 private:
  FakePolicy* node_;
  const Link link_;
};

class RewardProxy : public RewardClient {
 public:
  RewardProxy(FakeReward* node, Link link) : node_(node), link_(link) {}
  absl::StatusOr<ScoreAnswer> Score(const std::vector<std::string>& texts, absl::Duration,
                                    std::stop_token stop) override {
    const char* what = texts == CanaryTexts() ? ".Canary" : ".Score";
    return link_.Through(absl::StrCat(ToString(node_->role), what),
                         [&] { return node_->Score(texts, stop); });
  }
  absl::StatusOr<std::vector<std::string>> Labels(absl::Duration, std::stop_token) override {
    return std::vector<std::string>{"nothate", "hate"};
  }

 private:
  FakeReward* node_;
  const Link link_;
};

class LearnerProxy : public LearnerClient {
 public:
  LearnerProxy(FakeLearner* node, Link link) : node_(node), link_(link) {}
  absl::Status Check(const std::string&, const std::string& start_adapter,
                     std::stop_token) override {
    return link_.Through("learner.Check", [&] { return node_->CheckRun(start_adapter); });
  }
  absl::StatusOr<OpenAnswer> OpenRun(const OpenCall& call, std::stop_token) override {
    return link_.Through("learner.OpenRun", [&] { return node_->OpenRun(call); });
  }
  absl::StatusOr<TrainAnswer> Train(const TrainCall& call, std::stop_token stop) override {
    return link_.Through("learner.Train", [&] { return node_->Train(call, stop); });
  }
  absl::StatusOr<AdapterAnswer> GetAdapter(const std::string& run_id, int64_t version,
                                           std::stop_token) override {
    return link_.Through("learner.GetAdapter", [&] { return node_->GetAdapter(run_id, version); });
  }
  absl::StatusOr<PairScores> ScoreTokens(const std::string& run_id,
                                         absl::Span<const TokenPair> pairs, bool reference,
                                         std::stop_token) override {
    return link_.Through("learner.ScoreTokens",
                         [&] { return node_->ScoreTokens(run_id, pairs, reference); });
  }

 private:
  FakeLearner* node_;
  const Link link_;
};

class SftProxy : public SftClient {
 public:
  SftProxy(FakeLearner* node, Link link) : node_(node), link_(link) {}
  absl::Status Check(const std::string& spec, std::stop_token) override {
    return link_.Through("sft.Check", [&] { return node_->CheckSft(spec); });
  }
  absl::StatusOr<SftAnswer> Start(const SftCall& call, std::stop_token) override {
    return link_.Through("sft.Start", [&] { return node_->StartSft(call); });
  }
  absl::StatusOr<SftAnswer> Watch(const std::string& run_id, int after_step,
                                  const SftListener& listener, std::stop_token stop) override {
    return link_.Through("sft.Watch",
                         [&] { return node_->WatchSft(run_id, after_step, listener, stop); });
  }
  absl::StatusOr<SftAnswer> Stop(const std::string& run_id, std::stop_token) override {
    return link_.Through("sft.Stop", [&] { return node_->StopSft(run_id); });
  }

 private:
  FakeLearner* node_;
  const Link link_;
};

class Proxies : public NodeClients {
 public:
  Proxies(FakeCluster* cluster, KillSwitch* kill) : cluster_(cluster), kill_(kill) {}
  std::shared_ptr<PolicyClient> Policy(const std::string&, const std::string& address) override {
    return std::make_shared<PolicyProxy>(cluster_->policies[std::stoi(address.substr(7))].get(),
                                         Link{cluster_, kill_});
  }
  std::shared_ptr<RewardClient> Reward(const std::string&, const std::string& address) override {
    return std::make_shared<RewardProxy>(cluster_->rewards[std::stoi(address.substr(7))].get(),
                                         Link{cluster_, kill_});
  }
  std::shared_ptr<LearnerClient> Learner(const std::string&, const std::string&) override {
    return std::make_shared<LearnerProxy>(&cluster_->learner, Link{cluster_, kill_});
  }
  std::shared_ptr<SftClient> Sft(const std::string&, const std::string&) override {
    return std::make_shared<SftProxy>(&cluster_->learner, Link{cluster_, kill_});
  }

 private:
  FakeCluster* cluster_;
  KillSwitch* kill_;
};

}  // namespace

FakeCluster::FakeCluster(int policy_count, int reward_count) {
  for (int i = 0; i < policy_count; ++i) {
    policies.push_back(std::make_unique<FakePolicy>(absl::StrCat("policy-", i)));
  }
  for (int i = 0; i < reward_count; ++i) {
    rewards.push_back(std::make_unique<FakeReward>(absl::StrCat("reward-", i)));
  }
}

std::unique_ptr<NodeClients> FakeCluster::Connect(KillSwitch* kill) {
  return std::make_unique<Proxies>(this, kill);
}

void FakeCluster::RegisterAll(NodeRegistry* registry) const {
  const SteadyTime now = SteadyTime::Now();
  for (const auto& node : policies) registry->Register(node->Report(), now).IgnoreError();
  for (const auto& node : rewards) registry->Register(node->Report(), now).IgnoreError();
  registry->Register(learner.Report(), now).IgnoreError();
}

}  // namespace mellow::orchestrator
