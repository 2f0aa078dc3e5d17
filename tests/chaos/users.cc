// The users of the chaos suite: threads that ask for summaries and scores until SIGTERM, and print
// one JSON line for each answer or status. Equal questions must get equal answers, bit for bit.

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/json/value.h"
#include "common/rpc/call.h"
#include "common/rpc/client.h"
#include "common/sync/mutex.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "mellow/reward/v1/reward.grpc.pb.h"
#include "services/cli/terminal/json_lines.h"

namespace {

using mellow::Mutex;
using mellow::MutexLock;
using mellow::json::Value;

struct Options {
  std::vector<std::string> policies;
  std::vector<std::string> rewards;
  std::string dialogues;
  int threads = 4;
  double pause_seconds = 0.5;
  unsigned seed = 1;
};

constexpr size_t kDialogues = 20;
constexpr double kScoreShare = 0.3;

class Users {
 public:
  Users(const Options& options, std::vector<std::string> dialogues)
      : options_(options), dialogues_(std::move(dialogues)) {
    for (const std::string& address : options.policies)
      policies_.push_back(mellow::rpc::MakeChannel(address));
    for (const std::string& address : options.rewards)
      rewards_.push_back(mellow::rpc::MakeChannel(address));
  }

  void Run(std::stop_token stop, unsigned seed) {
    std::minstd_rand random(seed);
    while (!stop.stop_requested()) {
      AskOnce(random);
      std::exponential_distribution<double> pause(1 / options_.pause_seconds);
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any().wait_for(
          lock, stop, std::chrono::duration<double>(pause(random)), [] { return false; });
    }
  }

  int64_t started() const { return started_; }

 private:
  struct Answer {
    absl::Status status;
    std::string question;  // with what the answer depends on
    std::string text;
  };

  void AskOnce(std::minstd_rand& random) {
    const auto pick = [&random](size_t n) {
      return std::uniform_int_distribution<size_t>(0, n - 1)(random);
    };
    constexpr double kTimeouts[] = {1, 3, 10, 20};
    const double timeout = kTimeouts[pick(std::size(kTimeouts))];
    const std::string& dialogue = dialogues_[pick(dialogues_.size())];
    const bool score = std::bernoulli_distribution(kScoreShare)(random);
    const size_t target = pick(score ? rewards_.size() : policies_.size());
    ++started_;
    const auto begin = std::chrono::steady_clock::now();
    const Answer answer = score ? Score(target, dialogue, absl::Seconds(timeout))
                                : Summarize(target, dialogue, absl::Seconds(timeout));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    MutexLock lock(&mutex_);
    bool wrong = false;
    if (answer.status.ok()) {
      const auto [entry, is_new] = answers_.emplace(answer.question, answer.text);
      wrong = !is_new && entry->second != answer.text;
    }
    const mellow::json::Value line = {
        {"target", absl::StrCat(score ? "reward-" : "policy-", target)},
        {"code", absl::StatusCodeToString(answer.status.code())},
        {"message", answer.status.message()},
        {"seconds", took.count()},
        {"timeout", timeout},
        {"wrong", wrong}};
    std::printf("%s\n", mellow::json::Write(line).c_str());
    std::fflush(stdout);
  }

  Answer Summarize(size_t target, const std::string& dialogue, absl::Duration timeout) {
    mellow::policy::v1::SummarizeRequest request;
    request.set_dialogue(dialogue);
    const auto response =
        mellow::rpc::Call(policies_[target], "policy", timeout,
                          &mellow::policy::v1::PolicyService::Stub::Summarize, request);
    if (!response.ok()) return {.status = response.status()};
    return {.question = absl::StrCat(response->adapter().sha256(), " ", dialogue),
            .text = response->summary()};
  }

  Answer Score(size_t target, const std::string& dialogue, absl::Duration timeout) {
    mellow::reward::v1::ScoreRequest request;
    request.add_texts(dialogue);
    const auto response =
        mellow::rpc::Call(rewards_[target], "reward", timeout,
                          &mellow::reward::v1::RewardService::Stub::Score, request);
    if (!response.ok()) return {.status = response.status()};
    return {.question = dialogue, .text = response->SerializeAsString()};
  }

  const Options options_;
  const std::vector<std::string> dialogues_;
  std::vector<std::shared_ptr<grpc::Channel>> policies_;
  std::vector<std::shared_ptr<grpc::Channel>> rewards_;
  std::atomic<int64_t> started_ = 0;
  Mutex mutex_;
  std::map<std::string, std::string> answers_ ABSL_GUARDED_BY(mutex_);
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Users of a cluster, for the chaos suite");
  app.add_option("--policy", options.policies, "Addresses")->required();
  app.add_option("--reward", options.rewards, "Addresses")->required();
  app.add_option("--dialogues", options.dialogues, "JSON lines with the field dialogue")
      ->required();
  app.add_option("--threads", options.threads, "Users");
  app.add_option("--pause-seconds", options.pause_seconds,
                 "Mean time between an answer and the next question");
  app.add_option("--seed", options.seed, "Decides who asks what");
  CLI11_PARSE(app, argc, argv);

  std::vector<std::string> dialogues;
  std::ifstream file(options.dialogues);
  for (std::string line; dialogues.size() < kDialogues && std::getline(file, line);) {
    const auto row = mellow::cli::ParseObject(line);
    if (row.ok()) dialogues.push_back(mellow::cli::TextField(*row, "dialogue").value_or(""));
  }
  if (dialogues.empty()) {
    std::fprintf(stderr, "%s: no dialogues\n", options.dialogues.c_str());
    return 1;
  }

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before threads start, so that they inherit it
  Users users(options, std::move(dialogues));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < options.threads; ++i) {
      threads.emplace_back([&users, seed = options.seed * 1000 + static_cast<unsigned>(i)](
                               std::stop_token stop) { users.Run(std::move(stop), seed); });
    }
    int got = 0;
    sigwait(&signals, &got);
  }
  std::printf("{\"started\":%lld}\n", static_cast<long long>(users.started()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return Main(argc, argv); }
