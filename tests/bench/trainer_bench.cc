// PPO's update alone, on made-up rollouts: wall and CPU seconds of each step, and the hash of the
// adapter after it. CPU seconds are what to compare on a machine that others use too.
// usage: trainer_bench T5 BATCH MINI_BATCH EPOCHS QUERY RESPONSE R THREADS STEPS [HOST:PORT...]
// QUERY and RESPONSE are mean lengths; single ones lie within half of it to either side. HOST:PORT:
// learner workers that share the updates (mellow_learner_server --worker --model T5).

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "common/adapters/peft.h"
#include "common/base/steady_time.h"
#include "common/rl/ppo_trainer.h"
#include "services/learner/rpc/gradient_client.h"
#include "services/learner/workers/data_parallel.h"

namespace mellow::rl {
namespace {

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<int32_t> Ids(std::mt19937* random, int mean, int vocabulary) {
  std::vector<int32_t> ids(mean / 2 + static_cast<int>((*random)() % (mean + 1)));
  for (int32_t& id : ids) id = static_cast<int32_t>(2 + (*random)() % (vocabulary - 2));
  ids.push_back(1);
  return ids;
}

int Main(const std::string& model, const std::vector<int>& numbers,
         const std::vector<learner::WorkerNode>& workers) {
  const auto& n = numbers;
  PpoConfig config;
  config.batch_size = n[0];
  config.mini_batch_size = n[1];
  config.ppo_epochs = n[2];
  config.reference = Reference::kBase;
  config.learning_rate = 1e-4;
  config.lora = nn::LoraConfig{.r = n[5], .lora_alpha = 32, .target_modules = {"q", "v"}};
  const auto trainer = PpoTrainer::Create(model, config, std::nullopt, {.threads = n[6]});
  if (!trainer.ok()) {
    std::fprintf(stderr, "%s\n", trainer.status().ToString().c_str());
    return 1;
  }
  obs::Metrics metrics;
  learner::DataParallel source(learner::ConnectToWorker, /*on_cpu=*/true, &metrics);
  std::mt19937 random(1);
  const int vocabulary = (*trainer)->model_config().vocab_size;
  for (int step = 0; step < n[7]; ++step) {
    std::vector<Rollout> rollouts;
    std::vector<ScoreRow> rows;
    for (int i = 0; i < n[0]; ++i) {
      rows.push_back({Ids(&random, n[3], vocabulary), Ids(&random, n[4], vocabulary)});
      rollouts.push_back({.query_ids = rows.back().query_ids,
                          .response_ids = rows.back().response_ids,
                          .score = static_cast<float>(random() % 100) / 50.0f - 1.0f});
    }
    // As a sampler would give them: then no pass is needed for them.
    const auto logprobs = (*trainer)->ScoreTokens(rows, PpoTrainer::Which::kCurrent);
    if (!logprobs.ok()) return 1;
    for (int i = 0; i < n[0]; ++i)
      rollouts[static_cast<size_t>(i)].behavior_logprobs = (*logprobs)[static_cast<size_t>(i)];
    const bool helped = source.Begin("bench", workers);
    const SteadyTime start = SteadyTime::Now();
    const double cpu = CpuSeconds();
    const auto result = (*trainer)->Step(rollouts, helped ? &source : nullptr);
    if (!result.ok()) {
      std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
      return 1;
    }
    std::printf(
        "{\"step\": %d, \"wall_s\": %.3f, \"cpu_s\": %.3f, \"forward_s\": %.3f, \"reference_s\": "
        "%.3f, \"optimize_s\": %.3f, \"kl\": %.6g, \"grad_norm\": %.6g, \"hash\": \"%s\"}\n",
        step + 1, absl::ToDoubleSeconds(SteadyTime::Now() - start), CpuSeconds() - cpu,
        result->stats.at("time/ppo/forward_pass"), result->stats.at("time/ppo/reference_pass"),
        result->stats.at("time/ppo/optimize_step"), result->stats.at("objective/kl_k1"),
        result->stats.at("ppo/grad_norm"),
        adapters::ContentHash((*trainer)->Adapter()).substr(0, 16).c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace mellow::rl

int main(int argc, char** argv) {
  constexpr int kNumbers = 8;
  std::vector<int> numbers;
  for (int i = 2; i < argc && i < 2 + kNumbers; ++i) numbers.push_back(std::atoi(argv[i]));
  if (numbers.size() != kNumbers) {
    std::fprintf(stderr,
                 "usage: trainer_bench T5 BATCH MINI_BATCH EPOCHS QUERY RESPONSE R THREADS STEPS "
                 "[HOST:PORT...]\n");
    return 2;
  }
  std::vector<mellow::learner::WorkerNode> workers;
  for (int i = 2 + kNumbers; i < argc; ++i) workers.push_back({argv[i], argv[i], "", "cpu"});
  return mellow::rl::Main(argv[1], numbers, workers);
}
