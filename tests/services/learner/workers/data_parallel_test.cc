// A learner with workers, in one process: whoever dies, hangs, lies or joins, the adapter is that
// of the learner alone.

#include "services/learner/workers/data_parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/rpc/server.h"
#include "common/sync/stop_event.h"
#include "services/learner/ppo/ppo_session.h"
#include "services/learner/rpc/gradient_client.h"
#include "services/learner/rpc/gradient_service.h"
#include "tests/services/learner/learner_fixture.h"
#include "tests/testing/limited_methods.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

// Two epochs of one mini-batch of eight.
constexpr char kEight[] =
    R"({"batch_size": 8, "mini_batch_size": 8, "ppo_epochs": 3, "learning_rate": 0.01, "seed": 5, "lora": {"r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}})";

// Long enough that computing takes longer than calling.
std::vector<rl::Rollout> EightRollouts(int step) {
  std::vector<rl::Rollout> rollouts;
  for (int i = 0; i < 8; ++i) {
    rl::Rollout& rollout = rollouts.emplace_back();
    for (int t = 0; t < 60 + 5 * i; ++t)
      rollout.query_ids.push_back(3 + (7 * t + 11 * i + 13 * step) % 40);
    rollout.query_ids.push_back(1);
    for (int t = 0; t < 20 + 3 * i; ++t)
      rollout.response_ids.push_back(2 + (5 * t + 3 * i + step) % 40);
    rollout.score = static_cast<float>(i % 4) - 1.5f;
  }
  return rollouts;
}

// Around a worker's client: what befalls its calls.
class TroubledPeer : public GradientPeer {
 public:
  enum class Trouble { kNone, kDies, kHangs, kWrongNumber, kWrongShape, kNotFinite, kWrongValue };
  TroubledPeer(std::shared_ptr<GradientPeer> peer, Trouble trouble, int after)
      : peer_(std::move(peer)), trouble_(trouble), after_(after) {}

  absl::Status PutWeights(const PackedWeights& weights, std::stop_token stop) override {
    return peer_->PutWeights(weights, stop);
  }
  absl::StatusOr<rl::Evaluation> Evaluate(const std::string& current, const std::string& reference,
                                          const rl::EvaluationTask& task,
                                          std::stop_token stop) override {
    absl::StatusOr<rl::Evaluation> answer = peer_->Evaluate(current, reference, task, stop);
    const bool now = evaluations++ >= after_;
    if (now && answer.ok() && trouble_ == Trouble::kWrongValue && !answer->values.empty())
      answer->values[0][0] = std::nextafter(answer->values[0][0], 1.0f);
    return answer;
  }
  absl::StatusOr<rl::GradientAnswer> Gradient(const std::string& current,
                                              const rl::GradientTask& task,
                                              std::stop_token stop) override {
    const bool now = gradients++ >= after_;
    if (now && trouble_ == Trouble::kDies) return absl::UnavailableError("connection reset");
    if (now && trouble_ == Trouble::kHangs) {
      StopEvent stopped;
      const std::stop_callback on_stop(stop, [&stopped] { stopped.Set(); });
      (void)stopped.WaitUntil(SteadyTime::InfiniteFuture());
      return absl::UnavailableError("given up");
    }
    absl::StatusOr<rl::GradientAnswer> answer = peer_->Gradient(current, task, stop);
    if (!now || !answer.ok()) return answer;
    if (trouble_ == Trouble::kWrongNumber)
      answer->gradient[3] = std::nextafter(answer->gradient[3], 1.0f);
    if (trouble_ == Trouble::kWrongShape) answer->gradient.pop_back();
    if (trouble_ == Trouble::kNotFinite) answer->gradient[0] = std::nanf("");
    return answer;
  }

  std::atomic<int> gradients{0};
  std::atomic<int> evaluations{0};

 private:
  const std::shared_ptr<GradientPeer> peer_;
  const Trouble trouble_;
  const int after_;
};
using Trouble = TroubledPeer::Trouble;

// A worker as its process serves it.
struct WorkerProcess {
  explicit WorkerProcess(const std::string& model = kModel, int threads = 1)
      : service(*rl::GroupWorker::Create(model, {.threads = threads}), &metrics) {
    server =
        *rpc::Server::Start({}, {&service}, {v1::GradientService::service_full_name()}, &metrics);
  }
  std::shared_ptr<GradientPeer> Client() {
    return MakeGradientPeer(server->InProcessChannel(), "worker");
  }
  obs::Metrics metrics;
  GradientServiceImpl service;
  std::unique_ptr<rpc::Server> server;
};

class DataParallelTest : public ::testing::Test {
 protected:
  std::unique_ptr<PpoSession> OpenSession(const std::string& run) {
    auto session =
        PpoSession::Open({kModel, root_.path(), 2, {.threads = 1}}, *MakeSettings(run, kEight));
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  // The hash after the last of three steps, by the learner alone.
  const std::string& Alone() {
    if (alone_.empty()) {
      const auto session = OpenSession("alone");
      for (int step = 1; step <= 3; ++step) {
        const auto record = session->Train(step, EightRollouts(step), step);
        EXPECT_TRUE(record.ok()) << record.status();
        alone_ = record->sha256;
      }
    }
    return alone_;
  }
  // The same steps with help, each done again as often as it is Aborted, which *aborted counts. The
  // hash of the last.
  std::string TrainHelped(const std::string& run, const std::vector<WorkerNode>& nodes,
                          int* aborted = nullptr) {
    auto session = OpenSession(run);
    std::string hash;
    for (int step = 1; step <= 3; step = static_cast<int>(session->last_step()) + 1) {
      const bool any = source_.Begin(run, nodes);
      const auto record = session->Train(step, EightRollouts(step), step, any ? &source_ : nullptr);
      if (record.ok()) {
        hash = record->sha256;
        continue;
      }
      EXPECT_TRUE(absl::IsAborted(record.status())) << record.status();
      EXPECT_TRUE(session->spoiled()) << "it goes on from the checkpoint";
      if (!absl::IsAborted(record.status()) || aborted == nullptr) return "";
      ++*aborted;
      session = OpenSession(run);
    }
    return hash;
  }
  WorkerNode AddWorker(Trouble trouble = Trouble::kNone, int after = 0,
                       const std::string& model = kModel) {
    processes_.push_back(std::make_unique<WorkerProcess>(model, 1 + processes_.size() % 2));
    peers_.push_back(std::make_shared<TroubledPeer>(processes_.back()->Client(), trouble, after));
    const std::string name = std::to_string(peers_.size() - 1);
    return {"worker-" + name, name, "life-1", "cpu"};
  }
  DataParallel::Connect Connect() {
    return [this](const WorkerNode& node) { return peers_.at(std::stoul(node.address)); };
  }
  double Groups(const char* result) {
    const std::string text = metrics_.Text();
    const std::string name = absl::StrCat("mellow_learner_groups_total{result=\"", result, "\"} ");
    const size_t at = text.find(name);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size()));
  }

  mellow::testing::TempFolder root_;
  obs::Metrics metrics_;
  DataParallel source_{Connect(), /*on_cpu=*/true, &metrics_};
  std::vector<std::unique_ptr<WorkerProcess>> processes_;
  std::vector<std::shared_ptr<TroubledPeer>> peers_;

 private:
  std::string alone_;
};

TEST_F(DataParallelTest, AnyNumberOfWorkersGivesTheAdapterOfTheLearnerAlone) {
  for (const int count : {1, 3, 6}) {
    std::vector<WorkerNode> nodes;
    for (int i = 0; i < count; ++i) nodes.push_back(AddWorker());
    EXPECT_EQ(TrainHelped("run-" + std::to_string(count), nodes), Alone()) << count << " workers";
  }
  EXPECT_GT(Groups("done"), 0) << "the workers helped";
  EXPECT_EQ(Groups("failed") + Groups("wrong"), 0);
}

TEST_F(DataParallelTest, AWorkerThatFailsInTheMiddleOfAStepCostsNothingButTime) {
  for (const Trouble trouble : {Trouble::kDies, Trouble::kHangs, Trouble::kWrongShape,
                                Trouble::kNotFinite, Trouble::kWrongNumber}) {
    // From its first gradient on, which is compared, and after it has helped.
    for (const int after : {0, 2}) {
      const std::vector<WorkerNode> nodes = {AddWorker(trouble, after), AddWorker()};
      const std::string run = "run-" + std::to_string(peers_.size());
      int aborted = 0;
      EXPECT_EQ(TrainHelped(run, nodes, &aborted), Alone())
          << static_cast<int>(trouble) << " after " << after;
      EXPECT_TRUE(after > 0 || aborted == 0) << "it had not helped: " << static_cast<int>(trouble);
    }
  }
}

TEST_F(DataParallelTest, AWorkerWithWrongNumbersIsNotAskedAgainBeforeItRestarts) {
  WorkerNode node = AddWorker(Trouble::kWrongNumber);
  const auto session = OpenSession("run");
  ASSERT_TRUE(source_.Begin("run", {node}));
  ASSERT_TRUE(session->Train(1, EightRollouts(1), 1, &source_).ok());
  EXPECT_EQ(peers_[0]->gradients, 1) << "the first answer is compared";
  EXPECT_EQ(Groups("wrong"), 1);
  EXPECT_FALSE(source_.Begin("run", {node}));
  EXPECT_FALSE(source_.Begin("another run", {node}));
  node.incarnation = "life-2";
  EXPECT_TRUE(source_.Begin("run", {node}));
}

// After the check of its first answer: no step that it had a part in is recorded.
TEST_F(DataParallelTest, AWorkerThatBecomesWrongFailsTheStepsThatItHelpsWith) {
  for (const auto& [trouble, after] :
       {std::pair(Trouble::kWrongNumber, 1), std::pair(Trouble::kWrongNumber, 6),
        std::pair(Trouble::kWrongValue, 1)}) {
    const WorkerNode node = AddWorker(trouble, after);
    const std::string run = "run-" + std::to_string(peers_.size());
    const double wrong = Groups("wrong");
    int aborted = 0;
    EXPECT_EQ(TrainHelped(run, {node}, &aborted), Alone()) << after;
    EXPECT_EQ(aborted, 1);
    EXPECT_EQ(Groups("wrong"), wrong + 1);
    EXPECT_FALSE(source_.Begin(run, {node})) << "until it restarts";
  }
}

// Nobody can say anymore what its answers were.
TEST_F(DataParallelTest, AStepWithHelpOfAWorkerThatIsLostBeforeItsEndIsDoneAgain) {
  // Its first gradient is compared, the next ones count. Which of its calls is the last before the
  // end of a step, the workers' speeds say.
  int aborted = 0;
  for (int after = 2; after <= 8 && aborted == 0; ++after) {
    const WorkerNode node = AddWorker(Trouble::kDies, after);
    EXPECT_EQ(TrainHelped("run-" + std::to_string(after), {node}, &aborted), Alone()) << after;
  }
  EXPECT_GE(aborted, 1);
}

TEST_F(DataParallelTest, AWorkerWithOtherBaseWeightsIsFoundBeforeItCounts) {
  const WorkerNode node =
      AddWorker(Trouble::kNone, 0, mellow::SourceTree("/tests/parity/golden/t5-tied"));
  const auto session = OpenSession("run");
  ASSERT_TRUE(source_.Begin("run", {node}));
  const auto record = session->Train(1, EightRollouts(1), 1, &source_);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(Groups("done"), 0);
}

TEST_F(DataParallelTest, WhoFailsInEveryStepRestsForLongerAndLonger) {
  const WorkerNode node = AddWorker(Trouble::kDies);
  const auto session = OpenSession("run");
  std::string asked;
  int step = 0;
  for (int i = 0; i < 12; ++i) {
    const bool any = source_.Begin("run", {node});
    asked += any ? '+' : '-';
    ++step;
    ASSERT_TRUE(session->Train(step, EightRollouts(step), step, any ? &source_ : nullptr).ok());
  }
  EXPECT_EQ(asked, "++--+------+");
}

TEST_F(DataParallelTest, AWorkerThatJoinsIsUsedFromTheNextStep) {
  std::vector<WorkerNode> nodes = {AddWorker()};
  const auto session = OpenSession("run");
  std::string hash;
  for (int step = 1; step <= 3; ++step) {
    if (step == 2) nodes.push_back(AddWorker());
    if (step == 3) nodes.erase(nodes.begin());
    ASSERT_TRUE(source_.Begin("run", nodes));
    const auto record = session->Train(step, EightRollouts(step), step, &source_);
    ASSERT_TRUE(record.ok()) << record.status();
    hash = record->sha256;
    EXPECT_GT(peers_.back()->gradients, 0);
  }
  EXPECT_EQ(hash, Alone());
}

// The service itself, on the wire.
class GradientServiceTest : public ::testing::Test {
 protected:
  static PackedWeights SomeWeights() {
    rl::TrainedWeights weights;
    auto trainer = rl::PpoTrainer::Create(kModel, MakeSettings("r")->config, std::nullopt, {});
    weights.adapter = (*trainer)->Adapter();
    weights.value_head = (*trainer)->value_head();
    return Pack(weights);
  }
  static rl::GradientTask SomeTask() {
    rl::GradientTask task;
    task.sequences = {{{5, 6, 1}}, {{7, 1}}};
    task.mask = {{1, 1}};
    for (rl::Rows* rows : {&task.old_logprobs, &task.old_values, &task.advantages, &task.returns})
      *rows = {{0.5f, -1.0f}};
    return task;
  }
  WorkerProcess worker_;
  const std::shared_ptr<GradientPeer> client_ = worker_.Client();
};

TEST_F(GradientServiceTest, AnswersWithTheWeightsThatItWasGiven) {
  const PackedWeights weights = SomeWeights();
  const absl::Status before = client_->Gradient(weights.sha256, SomeTask(), {}).status();
  EXPECT_EQ(before.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(before.message()), HasSubstr(weights.sha256));
  ASSERT_TRUE(client_->PutWeights(weights, {}).ok());
  const auto first = client_->Gradient(weights.sha256, SomeTask(), {});
  const auto again = client_->Gradient(weights.sha256, SomeTask(), {});
  ASSERT_TRUE(first.ok() && again.ok()) << first.status();
  EXPECT_TRUE(*first == *again);
  EXPECT_EQ(first->logprobs[0].size(), 2u);
  const auto evaluation =
      client_->Evaluate(weights.sha256, "",
                        {.sequences = SomeTask().sequences, .values = true, .logprobs = true}, {});
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->values, first->values);
  EXPECT_EQ(evaluation->logprobs, first->logprobs);
  EXPECT_TRUE(evaluation->reference_logprobs.empty());
}

TEST_F(GradientServiceTest, RefusesBadRequestsByName) {
  PackedWeights weights = SomeWeights();
  ASSERT_TRUE(client_->PutWeights(weights, {}).ok());
  rl::GradientTask task = SomeTask();
  task.returns[0].pop_back();
  const absl::Status shape = client_->Gradient(weights.sha256, task, {}).status();
  EXPECT_EQ(shape.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(shape.message()), HasSubstr("returns"));
  weights.adapter.safetensors.back() ^= 1;
  const absl::Status hash = client_->PutWeights(weights, {});
  EXPECT_EQ(hash.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(hash.message()), HasSubstr("sha256"));
  weights = SomeWeights();
  weights.sha256.clear();
  EXPECT_EQ(client_->PutWeights(weights, {}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(GradientServiceTest, AGroupThatWouldNotEndIsToldAndNoneIsNot) {
  const auto stalled = [&] {
    return worker_.service.Stalled(SteadyTime::Now() + absl::Hours(1)) > absl::ZeroDuration();
  };
  const PackedWeights weights = SomeWeights();
  ASSERT_TRUE(client_->PutWeights(weights, {}).ok());
  EXPECT_FALSE(stalled());
  std::atomic<bool> seen{false};
  std::jthread watcher([&](std::stop_token stop) {
    while (!stop.stop_requested() && !seen) seen = stalled();
  });
  for (int i = 0; i < 1000 && !seen; ++i)
    ASSERT_TRUE(client_->Gradient(weights.sha256, SomeTask(), {}).ok());
  EXPECT_TRUE(seen) << "while it computes";
  watcher.request_stop();
  watcher.join();
  EXPECT_FALSE(stalled());
}

TEST_F(GradientServiceTest, DrainingItTakesNoWork) {
  worker_.service.Drain();
  EXPECT_EQ(client_->PutWeights(SomeWeights(), {}).code(), absl::StatusCode::kUnavailable);
}

TEST(GradientServiceLimitsTest, EveryMethodIsLimited) {
  obs::Metrics metrics;
  const auto make = [&](rpc::CallLimiter* limiter) {
    return std::make_unique<GradientServiceImpl>(*rl::GroupWorker::Create(kModel, {.threads = 1}),
                                                 &metrics, limiter);
  };
  EXPECT_THAT(mellow::testing::MethodsWithoutLimits(make, v1::GradientService::service_full_name()),
              ::testing::IsEmpty());
}

}  // namespace
}  // namespace mellow::learner
