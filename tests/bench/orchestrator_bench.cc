// The orchestrator's own cost of a PPO step over many nodes: its real code (run driver, registry,
// supervisor, collector, ledger, adapter store) against nodes that are simulated in this process,
// without models and without gRPC. Policies and rewards take their time and answer with made-up
// numbers of real sizes; some die in the middle of a call and come back as new processes. One JSON
// line per step; the CPU seconds are those of the whole process, simulated nodes included, so they
// are an upper bound of the orchestrator's.
//   orchestrator_bench --nodes 1000 --batch 1024 --steps 4 --work-ms 1000
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/text/load_tokenizer.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"
#include "services/orchestrator/run/run_driver.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

struct Options {
  int nodes = 100;
  int rewards = 0;  // 0: one for eight policies
  int batch = 1024;
  int shard = 0;  // prompts; 0: 8, or fewer where there would be less than one shard a node
  int steps = 4;
  int adapter_mb = 14;
  int work_ms = 1000;  // of a shard, on average
  int send_ms = 20;    // of an adapter's transfer
  int query_tokens = 215;
  int response_tokens = 276;
  double deaths = 0.01;  // of the policies, each step
  std::string model;     // a folder with the policy's tokenizer
};

constexpr int kVocabulary = 500;
constexpr absl::Duration kHeartbeat = absl::Seconds(2);

// A number in [0, 1) that follows from the key.
double Draw(uint64_t key) {
  key ^= key >> 33;
  key *= 0xff51afd7ed558ccdULL;
  key ^= key >> 33;
  key *= 0xc4ceb9fe1a85ec53ULL;
  key ^= key >> 33;
  return static_cast<double>(key >> 11) * 0x1.0p-53;
}

std::vector<float> LogProbs(int64_t version, const std::vector<int32_t>& source,
                            const std::vector<int32_t>& target) {
  uint64_t key = static_cast<uint64_t>(version) * 1000003 + source.size();
  std::vector<float> logprobs;
  for (const int32_t id : target) {
    key = key * 31 + static_cast<uint64_t>(id);
    logprobs.push_back(-0.1f - static_cast<float>(Draw(key)));
  }
  return logprobs;
}

// What the whole cluster shares.
struct Traffic {
  std::atomic<int64_t> bytes{0};  // of adapters, from the orchestrator
  std::atomic<int> sends{0};      // in progress
  std::atomic<int> most_sends{0};
};

// A node's process: its calls end when it dies.
class Process {
 public:
  Process(std::string node_id, NodeRole role) : node_id_(std::move(node_id)), role_(role) {}

  NodeReport Report() {
    MutexLock lock(&mutex_);
    NodeReport report{.node_id = node_id_,
                      .role = role_,
                      .address = node_id_,
                      .incarnation = absl::StrCat(life_)};
    report.capacity.device = "cpu";
    report.capacity.model_sha256 = "model";
    report.capacity.precision = "float32";
    report.capacity.tokens_per_second = role_ == NodeRole::kPolicy ? 500 : 0;
    for (const auto& [version, sha256] : adapters_) report.adapters.push_back({version, sha256});
    return report;
  }
  // The next call of Work ends in the middle, and the process is another one.
  void DieSoon() {
    MutexLock lock(&mutex_);
    dies_ = true;
  }
  // Takes `ms` times 0.5 to 1.5. Unavailable: it died, or the caller gave up.
  absl::Status Work(double ms, uint64_t key, std::stop_token stop, bool* died) {
    if (ms > 0) ms *= 0.5 + Draw(key);
    MutexLock lock(&mutex_);
    const bool dies = std::exchange(dies_, false);
    if (dies) ms /= 2;
    if (ms > 0) {
      const SteadyTime until = SteadyTime::Now() + absl::Milliseconds(ms);
      const std::stop_callback wake(stop, [this] { changed_.NotifyAll(); });
      while (!stop.stop_requested() && changed_.WaitUntil(&mutex_, until)) {
      }
    }
    if (dies) {
      *died = true;
      ++life_;
      adapters_.clear();
      return absl::UnavailableError(absl::StrCat(node_id_, ": connection reset"));
    }
    return stop.stop_requested() ? absl::UnavailableError("given up") : absl::OkStatus();
  }
  void Keep(const AdapterRef& ref) {
    MutexLock lock(&mutex_);
    adapters_[ref.version] = ref.sha256;
    if (adapters_.size() > 8) adapters_.erase(adapters_.begin());
  }
  // NotFound: it does not have the version.
  absl::StatusOr<AdapterRef> Find(int64_t version) {
    if (version == 0) return AdapterRef{};
    MutexLock lock(&mutex_);
    const auto it = adapters_.find(version);
    if (it == adapters_.end()) return absl::NotFoundError(absl::StrCat("no adapter ", version));
    return AdapterRef{version, it->second};
  }

 private:
  const std::string node_id_;
  const NodeRole role_;
  Mutex mutex_;
  CondVar changed_;
  bool dies_ ABSL_GUARDED_BY(mutex_) = false;
  int life_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, std::string> adapters_ ABSL_GUARDED_BY(mutex_);
};

class SimulatedCluster;

class SimulatedPolicy : public PolicyClient {
 public:
  SimulatedPolicy(SimulatedCluster* cluster, int index) : cluster_(cluster), index_(index) {}
  absl::StatusOr<GenerateAnswer> Generate(const GenerateCall& call, absl::Duration timeout,
                                          std::stop_token stop) override;
  absl::StatusOr<PairScores> ScoreTokens(absl::Span<const TokenPair> pairs, int64_t version,
                                         std::stop_token stop) override;
  absl::Status PublishAdapter(const AdapterRef& ref, const adapters::PeftFiles& files,
                              wire::Publication as, std::stop_token stop) override;
  absl::Status FetchAdapter(const AdapterRef& ref, const std::string& source, wire::Publication as,
                            std::stop_token stop) override;

 private:
  SimulatedCluster* const cluster_;
  const int index_;
};

class SimulatedReward : public RewardClient {
 public:
  SimulatedReward(SimulatedCluster* cluster, int index) : cluster_(cluster), index_(index) {}
  absl::StatusOr<ScoreAnswer> Score(const std::vector<std::string>& texts, absl::Duration timeout,
                                    std::stop_token stop) override;
  absl::StatusOr<std::vector<std::string>> Labels(absl::Duration, std::stop_token) override {
    return std::vector<std::string>{"nothate", "hate"};
  }

 private:
  SimulatedCluster* const cluster_;
  const int index_;
};

// Answers at once: what training takes is not the orchestrator's.
class SimulatedLearner : public LearnerClient {
 public:
  explicit SimulatedLearner(SimulatedCluster* cluster) : cluster_(cluster) {}
  absl::Status Check(const std::string&, const std::string&, std::stop_token) override {
    return absl::OkStatus();
  }
  absl::StatusOr<OpenAnswer> OpenRun(const OpenCall&, std::stop_token) override {
    return OpenAnswer{};
  }
  absl::StatusOr<TrainAnswer> Train(const TrainCall& call, std::stop_token) override {
    step_ = call.step;
    return TrainAnswer{.adapter = Adapter(call.new_version), .adapter_path = "adapter"};
  }
  absl::StatusOr<AdapterAnswer> GetAdapter(const std::string&, int64_t version,
                                           std::stop_token) override;
  absl::StatusOr<PairScores> ScoreTokens(const std::string&, absl::Span<const TokenPair> pairs,
                                         bool, std::stop_token) override {
    PairScores scores{.adapter = Adapter(step_)};
    for (const TokenPair& pair : pairs)
      scores.logprobs.push_back(LogProbs(step_, pair.source_ids, pair.target_ids));
    return scores;
  }

 private:
  // Versions are the steps' numbers: the run is the only one of its ledger.
  static AdapterRef Adapter(int64_t version) {
    return version == 0 ? AdapterRef{} : AdapterRef{version, absl::StrCat("sha256-", version)};
  }
  SimulatedCluster* const cluster_;
  std::atomic<int> step_{0};
};

class SimulatedCluster : public NodeClients {
 public:
  SimulatedCluster(const Options& options, NodeRegistry* registry)
      : options(options), registry(registry), weights(size_t{1} << 20, 'w') {
    std::string all;
    for (int i = 0; i < options.adapter_mb; ++i) all += weights;
    weights = std::move(all);
    for (int i = 0; i < options.nodes; ++i)
      policies.push_back(
          std::make_unique<Process>(absl::StrFormat("policy-%d", i), NodeRole::kPolicy));
    for (int i = 0; i < options.rewards; ++i)
      rewards.push_back(
          std::make_unique<Process>(absl::StrFormat("reward-%d", i), NodeRole::kReward));
    RegisterAll(0, 1);
    heartbeats = std::jthread([this](std::stop_token stop) { Beat(stop); });
  }

  std::shared_ptr<PolicyClient> Policy(const std::string&, const std::string& address) override {
    return std::make_shared<SimulatedPolicy>(this, std::stoi(address.substr(7)));
  }
  std::shared_ptr<RewardClient> Reward(const std::string&, const std::string& address) override {
    return std::make_shared<SimulatedReward>(this, std::stoi(address.substr(7)));
  }
  std::shared_ptr<LearnerClient> Learner(const std::string&, const std::string&) override {
    return learner_client;
  }
  std::shared_ptr<SftClient> Sft(const std::string&, const std::string&) override {
    return nullptr;
  }

  // 1 % of the policies, at least one, die at their next call.
  void KillSome(int step) {
    const int count =
        options.deaths <= 0
            ? 0
            : std::max(1, static_cast<int>(std::lround(options.deaths * options.nodes)));
    for (int i = 0; i < count; ++i) {
      const double draw = Draw(static_cast<uint64_t>(step) * 7919 + static_cast<uint64_t>(i));
      policies[static_cast<size_t>(draw * options.nodes)]->DieSoon();
    }
  }

  const Options& options;
  NodeRegistry* const registry;
  std::string weights;
  Traffic traffic;
  std::vector<std::unique_ptr<Process>> policies;
  std::vector<std::unique_ptr<Process>> rewards;
  Process learner{"learner", NodeRole::kLearner};
  const std::shared_ptr<SimulatedLearner> learner_client = std::make_shared<SimulatedLearner>(this);

 private:
  // Every `of`-th node, from `first` on.
  void RegisterAll(size_t first, size_t of) {
    const SteadyTime now = SteadyTime::Now();
    size_t index = 0;
    const auto beat = [&](Process& process) {
      if (index++ % of == first) registry->Register(process.Report(), now).IgnoreError();
    };
    for (const auto& node : policies) beat(*node);
    for (const auto& node : rewards) beat(*node);
    beat(learner);
  }
  // As many a second as real nodes send.
  void Beat(std::stop_token stop) {
    constexpr size_t kParts = 50;
    Mutex mutex;
    CondVar ended;
    const std::stop_callback wake(stop, [&] { ended.NotifyAll(); });
    for (size_t part = 0; !stop.stop_requested(); part = (part + 1) % kParts) {
      const SteadyTime next = SteadyTime::Now() + kHeartbeat / kParts;
      RegisterAll(part, kParts);
      MutexLock lock(&mutex);
      while (!stop.stop_requested() && ended.WaitUntil(&mutex, next)) {
      }
    }
  }
  std::jthread heartbeats;  // last: uses the rest
};

absl::StatusOr<GenerateAnswer> SimulatedPolicy::Generate(const GenerateCall& call, absl::Duration,
                                                         std::stop_token stop) {
  Process& process = *cluster_->policies[static_cast<size_t>(index_)];
  MELLOW_ASSIGN_OR_RETURN(const AdapterRef adapter, process.Find(call.adapter_version));
  bool died = false;
  const absl::Status worked = process.Work(
      cluster_->options.work_ms, call.prompts[0].prompt_index * 31 + 7, std::move(stop), &died);
  if (died) cluster_->registry->Register(process.Report(), SteadyTime::Now()).IgnoreError();
  MELLOW_RETURN_IF_ERROR(worked);
  GenerateAnswer answer{.adapter = adapter};
  for (const Prompt& prompt : call.prompts) {
    Generation generation{.finished = true};
    for (int i = 0; i < cluster_->options.response_tokens; ++i)
      generation.ids.push_back(
          3 + static_cast<int>(Draw(prompt.prompt_index * 4096 + static_cast<uint64_t>(i)) *
                               (kVocabulary - 3)));
    generation.logprobs = LogProbs(call.adapter_version, prompt.ids, generation.ids);
    answer.generations.push_back(std::move(generation));
  }
  return answer;
}

absl::StatusOr<PairScores> SimulatedPolicy::ScoreTokens(absl::Span<const TokenPair> pairs,
                                                        int64_t version, std::stop_token) {
  PairScores scores;
  MELLOW_ASSIGN_OR_RETURN(scores.adapter,
                          cluster_->policies[static_cast<size_t>(index_)]->Find(version));
  for (const TokenPair& pair : pairs)
    scores.logprobs.push_back(LogProbs(version, pair.source_ids, pair.target_ids));
  return scores;
}

absl::Status SimulatedPolicy::PublishAdapter(const AdapterRef& ref,
                                             const adapters::PeftFiles& files, wire::Publication,
                                             std::stop_token stop) {
  Traffic& traffic = cluster_->traffic;
  Process& process = *cluster_->policies[static_cast<size_t>(index_)];
  const int sends = ++traffic.sends;
  for (int most = traffic.most_sends; most < sends;)
    traffic.most_sends.compare_exchange_weak(most, sends);
  bool died = false;
  const absl::Status sent = process.Work(cluster_->options.send_ms, static_cast<uint64_t>(index_),
                                         std::move(stop), &died);
  --traffic.sends;
  traffic.bytes += static_cast<int64_t>(files.safetensors.size());
  MELLOW_RETURN_IF_ERROR(sent);
  process.Keep(ref);
  return absl::OkStatus();
}

absl::Status SimulatedPolicy::FetchAdapter(const AdapterRef& ref, const std::string& source,
                                           wire::Publication, std::stop_token stop) {
  MELLOW_RETURN_IF_ERROR(
      cluster_->policies[std::stoul(source.substr(7))]->Find(ref.version).status());
  Process& process = *cluster_->policies[static_cast<size_t>(index_)];
  bool died = false;
  MELLOW_RETURN_IF_ERROR(process.Work(cluster_->options.send_ms, static_cast<uint64_t>(index_),
                                      std::move(stop), &died));
  process.Keep(ref);
  return absl::OkStatus();
}

absl::StatusOr<ScoreAnswer> SimulatedReward::Score(const std::vector<std::string>& texts,
                                                   absl::Duration, std::stop_token stop) {
  bool died = false;
  MELLOW_RETURN_IF_ERROR(cluster_->rewards[static_cast<size_t>(index_)]->Work(
      cluster_->options.work_ms / 10.0, texts[0].size(), std::move(stop), &died));
  ScoreAnswer answer{.labels = {"nothate", "hate"}};
  for (const std::string& text : texts) {
    const auto toxicity = static_cast<float>(Draw(text.size()));
    answer.scores.push_back({{1 - toxicity, toxicity}, {1 - toxicity, toxicity}, toxicity});
  }
  return answer;
}

absl::StatusOr<AdapterAnswer> SimulatedLearner::GetAdapter(const std::string&, int64_t version,
                                                           std::stop_token) {
  return AdapterAnswer{Adapter(version), {.config_json = "{}", .safetensors = cluster_->weights}};
}

class RandomPrompts : public PromptSource {
 public:
  explicit RandomPrompts(const Options& options) : options_(options) {}
  absl::StatusOr<Prompt> Draw(uint64_t index) const override {
    Prompt prompt{.prompt_index = index, .max_new_tokens = options_.response_tokens};
    for (int i = 1; i < options_.query_tokens; ++i)
      prompt.ids.push_back(
          3 + static_cast<int>(orchestrator::Draw(index * 8191 + static_cast<uint64_t>(i)) *
                               (kVocabulary - 3)));
    prompt.ids.push_back(1);
    return prompt;
  }

 private:
  const Options& options_;
};

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A line of /proc/self/status in MiB: VmRSS, VmHWM.
double MemoryMib(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, field)) return std::atof(line.c_str() + field.size() + 1) / 1024;
  }
  return 0;
}

class Reporter : public RunObserver {
 public:
  Reporter(const Options& options, SimulatedCluster* cluster)
      : options_(options), cluster_(cluster) {}
  void OnActivity(const std::string&) override {}
  void OnOpened(const ParameterCounts&) override { cluster_->KillSome(1); }
  void OnStep(const StepRecord& step) override {
    const double cpu = CpuSeconds();
    const int64_t bytes = cluster_->traffic.bytes;
    int ready = 0;
    for (const NodeStatus& node : cluster_->registry->List())
      ready += node.report.role == NodeRole::kPolicy && node.state == NodeState::kReady;
    const auto phase = [&](const char* name) { return step.phase_seconds.at(name); };
    absl::PrintF(
        "{\"nodes\": %d, \"step\": %d, \"wall_s\": %.3f, \"cpu_s\": %.3f, \"generate_s\": %.3f, "
        "\"reward_s\": %.3f, \"train_s\": %.3f, \"publish_s\": %.3f, \"rss_mib\": %.0f, "
        "\"peak_mib\": %.0f, \"sent_mib\": %.0f, \"most_sends\": %d, \"ready\": %d}\n",
        options_.nodes, step.step, step.seconds, cpu - cpu_, phase("generate"), phase("reward"),
        phase("train"), phase("publish"), MemoryMib("VmRSS"), MemoryMib("VmHWM"),
        static_cast<double>(bytes - bytes_) / (1 << 20), cluster_->traffic.most_sends.load(),
        ready);
    std::fflush(stdout);
    cpu_ = cpu;
    bytes_ = bytes;
    cluster_->KillSome(step.step + 1);
  }

 private:
  const Options& options_;
  SimulatedCluster* const cluster_;
  double cpu_ = CpuSeconds();
  int64_t bytes_ = 0;
};

absl::Status Run(Options options) {
  if (options.rewards == 0) options.rewards = std::max(1, options.nodes / 8);
  if (options.shard == 0) options.shard = std::clamp(options.batch / options.nodes, 1, 8);
  MELLOW_RETURN_IF_ERROR(obs::InitLog("orchestrator_bench", "error"));
  MELLOW_ASSIGN_OR_RETURN(const auto tokenizer, text::LoadTokenizer(options.model));
  const testing::TempFolder folder;
  MELLOW_ASSIGN_OR_RETURN(const auto ledger, SqliteLedger::Open(folder.path() + "/ledger.db"));
  obs::Metrics metrics_of_process;
  OrchestratorMetrics metrics(&metrics_of_process);
  NodeRegistry registry(3 * kHeartbeat);
  SimulatedCluster cluster(options, &registry);
  AdapterStore adapters(folder.path() + "/adapters");
  NodeSupervisor supervisor(&registry, &cluster, &metrics, absl::Seconds(2));
  const RandomPrompts prompts(options);

  RunConfig config;
  config.steps = options.steps;
  config.batch_size = options.batch;
  config.shard_prompts = options.shard;
  config.reward.text_template = "{query} {response}";
  MELLOW_RETURN_IF_ERROR(
      ledger->CreateRun({.run_id = "run", .spec = "spec", .method = Method::kPpo}).status());
  Reporter reporter(options, &cluster);
  RunDriver driver({ledger.get(), &registry, &cluster, &supervisor, &adapters, &metrics,
                    tokenizer.get(), kDefaultCanaryBound},
                   "run", config, &prompts, &reporter, {});
  return driver.Run();
}

}  // namespace
}  // namespace mellow::orchestrator

int main(int argc, char** argv) {
  mellow::orchestrator::Options options;
  options.model = mellow::SourceTree("/deploy/models/mini-summarizer");
  CLI::App app("What a PPO step over many simulated nodes costs the orchestrator");
  app.add_option("--nodes", options.nodes, "Policy nodes")->check(CLI::Range(1, 4000));
  app.add_option("--rewards", options.rewards, "Reward nodes; 0: one for eight policy nodes");
  app.add_option("--batch", options.batch, "Rollouts of a step")->check(CLI::PositiveNumber);
  app.add_option("--shard", options.shard, "Prompts of a shard; 0: 8, fewer with many nodes");
  app.add_option("--steps", options.steps, "Steps")->check(CLI::PositiveNumber);
  app.add_option("--adapter-mb", options.adapter_mb, "Size of an adapter, MiB");
  app.add_option("--work-ms", options.work_ms, "What a shard takes a policy; a tenth for a reward");
  app.add_option("--send-ms", options.send_ms, "What an adapter's transfer takes");
  app.add_option("--response-tokens", options.response_tokens, "Tokens of a response");
  app.add_option("--deaths", options.deaths, "Share of the policies that die in each step");
  app.add_option("--model", options.model, "Folder of the policy's tokenizer");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = mellow::orchestrator::Run(options);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
