#include "services/orchestrator/run/run_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "services/orchestrator/run/ppo_method.h"
#include "services/orchestrator/run/sft_method.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace run_manager_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RecordingSink : public WatchSink {
 public:
  bool OnStep(const StepRecord& step) override {
    steps.push_back(step.step);
    return true;
  }
  bool OnActivity(const std::string&) override { return true; }
  bool OnEnded(const RunStatus& run) override {
    ended = run;
    return true;
  }
  bool cancelled() const override { return gone; }

  std::vector<int> steps;
  std::optional<RunStatus> ended;
  std::atomic<bool> gone{false};
};

class RunManagerTest : public ::testing::Test {
 protected:
  RunManagerTest() {
    std::ofstream file(folder_ / "data.jsonl");
    for (int i = 0; i < 20; ++i) file << R"({"dialogue": "text )" << i << "\"}\n";
    StartProcess();
  }
  void StartProcess() {
    manager_.reset();
    life_.reset();
    life_ = std::make_unique<Life>(&cluster_, folder_.path());
    manager_ = std::make_unique<RunManager>(
        life_->Parts(),
        [this](const std::string& spec) -> absl::StatusOr<std::unique_ptr<RunMethod>> {
          int steps = 0;
          if (!absl::SimpleAtoi(spec, &steps)) return MakeSftMethod(life_->Parts(), spec);
          RunConfig config = MakeRunConfig(steps);
          config.data.path = folder_ / "data.jsonl";
          config.sampling.max_new_tokens = 6;
          if (change_) change_(&config);
          return MakePpoMethod(life_->Parts(), config);
        });
    ASSERT_TRUE(manager_->Recover().ok());
  }
  // PPO.
  static RunRequest MakeRequest(int steps, const std::string& request_id = "") {
    return {std::to_string(steps), request_id};
  }
  std::string Start(int steps, const std::string& request_id = "") {
    const auto run_id = manager_->Start(MakeRequest(steps, request_id));
    EXPECT_TRUE(run_id.ok()) << run_id.status();
    return run_id.ok() ? *run_id : "";
  }
  // Follows a run to its end.
  RunStatus Finish(const std::string& run_id, int after_step = 0) {
    RecordingSink sink;
    EXPECT_TRUE(manager_->Watch(run_id, after_step, &sink).ok());
    EXPECT_TRUE(sink.ended.has_value());
    steps_ = sink.steps;
    return sink.ended.value_or(RunStatus{});
  }
  // Makes the first Train of `step` wait until the promise is set.
  void HoldTraining(int step) {
    held_ = std::promise<void>();
    cluster_.learner.on_train = [step, reached = &reached_, go = held_.get_future().share(),
                                 once =
                                     std::make_shared<std::atomic<bool>>()](const TrainCall& call) {
      if (call.step != step || once->exchange(true)) return;
      reached->set_value();
      go.wait();
    };
  }

  // A run of three steps, in the second of which the manager shuts down. Its id.
  std::string ShutDownInStepTwo() {
    HoldTraining(2);
    std::string run_id = Start(3);
    reached_.get_future().wait();
    std::future<void> down = std::async(std::launch::async, [&] { manager_->Shutdown(); });
    held_.set_value();
    down.wait();
    return run_id;
  }

  // PPO is held in step 1, supervised fine-tuning in step 2 until go_ is set. Their ids.
  std::pair<std::string, std::string> HoldARunOfEachMethod() {
    HoldTraining(1);
    const std::string ppo = Start(1);
    reached_.get_future().wait();
    cluster_.learner.on_sft_step = [this](int step) {
      if (step != 2) return;
      reached_too_.set_value();
      go_.get_future().wait();
    };
    const auto sft = manager_->Start({"pairs", "request"});
    EXPECT_TRUE(sft.ok()) << sft.status();
    if (sft.ok()) reached_too_.get_future().wait();
    return {ppo, sft.value_or("")};
  }

  // Fills the disk while step `full_at` trains, and returns once the run says that it waits.
  std::string StartUntilTheDiskIsFull(int steps, int full_at) {
    HoldTraining(full_at);
    const std::string run_id = Start(steps);
    reached_.get_future().wait();
    life_->FillDisk(true);
    held_.set_value();
    class UntilItWaits : public RecordingSink {
     public:
      bool OnActivity(const std::string& activity) override {
        waits = waits || absl::StrContains(activity, "waiting for room on the disk");
        return !waits;
      }
      bool waits = false;
    } sink;
    EXPECT_FALSE(manager_->Watch(run_id, 0, &sink).ok());
    EXPECT_TRUE(sink.waits);
    EXPECT_FALSE(sink.ended.has_value());
    return run_id;
  }

  testing::TempFolder folder_;
  FakeCluster cluster_{2, 1};
  std::function<void(RunConfig*)> change_;  // of the settings of the next PPO run
  std::unique_ptr<Life> life_;
  std::unique_ptr<RunManager> manager_;
  std::promise<void> reached_;
  std::promise<void> held_;
  std::promise<void> reached_too_;
  std::promise<void> go_;
  std::vector<int> steps_;
};

TEST_F(RunManagerTest, WhatNoNodeCanDoIsRefusedBeforeTheRunIsMade) {
  for (auto& policy : cluster_.policies) policy->max_new_tokens = 5;
  cluster_.RegisterAll(&life_->registry);
  const auto refused = manager_->Start(MakeRequest(1));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.status().message(), "sampling.max_new_tokens: 6: policy-0 takes at most 5");
  EXPECT_TRUE(manager_->List()->empty());
  cluster_.policies.back()->max_new_tokens = 6;
  cluster_.RegisterAll(&life_->registry);
  EXPECT_EQ(Finish(Start(1)).state, RunState::kDone) << "one that can is enough";
}

TEST_F(RunManagerTest, WhatNoMessageCanCarryIsRefusedBeforeTheRunIsMade) {
  const auto refusal = [&] {
    cluster_.RegisterAll(&life_->registry);
    return std::string(manager_->Start(MakeRequest(1)).status().message());
  };
  cluster_.learner.max_message_bytes = 1000;
  EXPECT_THAT(refusal(), ::testing::AllOf(HasSubstr("ppo.batch_size: 8: a request of "),
                                          HasSubstr(" bytes, learner takes at most 1000 "
                                                    "(--max-message-mib)")));
  cluster_.learner.max_message_bytes = 0;
  cluster_.rewards[0]->max_message_bytes = 20;
  EXPECT_THAT(refusal(), HasSubstr("reward-0 takes at most 20 "));
  cluster_.rewards[0]->max_message_bytes = 0;
  for (auto& policy : cluster_.policies) policy->max_message_bytes = 20;
  EXPECT_THAT(refusal(), HasSubstr("shard_prompts: 4: a request of "));
  EXPECT_TRUE(manager_->List()->empty());
  cluster_.policies.back()->max_message_bytes = 64 << 20;
  cluster_.RegisterAll(&life_->registry);
  EXPECT_EQ(Finish(Start(1)).state, RunState::kDone) << "one that can is enough";
}

TEST_F(RunManagerTest, WhatNoJudgeCanDoIsRefusedBeforeARunWithAJudgeIsMade) {
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-1"));
  cluster_.rewards[1]->role = NodeRole::kJudge;
  cluster_.rewards[1]->max_request_items = 3;
  cluster_.RegisterAll(&life_->registry);
  EXPECT_EQ(Finish(Start(1)).state, RunState::kDone) << "a run without a judge does not ask it";
  change_ = [](RunConfig* config) { config->guard.emplace().judge.emplace(); };
  const auto refused = manager_->Start(MakeRequest(1));
  EXPECT_EQ(refused.status().message(), "shard_prompts: 4: reward-1 takes at most 3");
}

TEST_F(RunManagerTest, ARunWaitsAtAFullDiskAndGoesOnByItselfWhenThereIsRoom) {
  const std::string run_id = StartUntilTheDiskIsFull(/*steps=*/3, /*full_at=*/2);
  EXPECT_EQ(manager_->Get(run_id)->state, RunState::kRunning);
  life_->FillDisk(false);
  EXPECT_EQ(Finish(run_id).state, RunState::kDone);
  EXPECT_THAT(steps_, ElementsAre(1, 2, 3));
}

TEST_F(RunManagerTest, ARunThatIsStoppedWhileTheDiskIsFullIsStoppedWhenThereIsRoom) {
  const std::string run_id = StartUntilTheDiskIsFull(/*steps=*/2, /*full_at=*/1);
  ASSERT_TRUE(manager_->Stop(run_id).ok());
  life_->FillDisk(false);
  EXPECT_EQ(Finish(run_id).state, RunState::kStopped);
}

TEST_F(RunManagerTest, AWatcherSeesEveryStepAndTheEnd) {
  HoldTraining(1);
  const std::string run_id = Start(3);
  reached_.get_future().wait();
  const auto opened = manager_->Get(run_id);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->parameters.trainable, 7) << "what the learner said when it opened the run";
  EXPECT_EQ(opened->parameters.total, 70);
  held_.set_value();
  const RunStatus run = Finish(run_id);
  EXPECT_THAT(steps_, ElementsAre(1, 2, 3));
  EXPECT_EQ(run.state, RunState::kDone);
  EXPECT_EQ(run.committed_steps, 3);
  EXPECT_EQ(run.adapter.version, 3);
  EXPECT_EQ(run.adapter_path, "/ckpt/" + run_id + "/3");
  EXPECT_EQ(Finish(run_id, /*after_step=*/2).state, RunState::kDone);
  EXPECT_THAT(steps_, ElementsAre(3)) << "one who comes later gets what is missing";
  const std::string metrics = life_->registry_of_metrics.Text();
  const std::string of_run = "run=\"" + run_id + "\"";
  EXPECT_THAT(metrics, HasSubstr("mellow_ppo_returns_mean{" + of_run + "} 1.5"));
  EXPECT_THAT(metrics, HasSubstr("mellow_ppo_step_seconds{phase=\"train\"," + of_run + "}"));
  EXPECT_THAT(metrics, HasSubstr("mellow_orchestrator_step{" + of_run + "} 3"));
  EXPECT_THAT(metrics, HasSubstr("mellow_orchestrator_nodes{device=\"cpu\",role=\"policy\""));
}

TEST_F(RunManagerTest, TheSameRequestIsTheSameRun) {
  const std::string run_id = Start(1, "request-1");
  EXPECT_EQ(Start(1, "request-1"), run_id);
  Finish(run_id);
  EXPECT_EQ(Start(1, "request-1"), run_id);
  EXPECT_NE(Start(1, "request-2"), run_id);
}

TEST_F(RunManagerTest, OneRunAtATime) {
  HoldTraining(1);
  const std::string run_id = Start(1);
  const auto second = manager_->Start(MakeRequest(1));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(run_id));
  reached_.get_future().wait();
  held_.set_value();
  EXPECT_EQ(Finish(run_id).state, RunState::kDone);
  cluster_.learner.on_train = nullptr;
  Finish(Start(1));
  EXPECT_EQ(manager_->List()->size(), 2u);
}

TEST_F(RunManagerTest, AStoppedRunIsResumed) {
  HoldTraining(2);
  const std::string run_id = Start(3);
  reached_.get_future().wait();
  ASSERT_TRUE(manager_->Stop(run_id).ok());
  EXPECT_EQ(manager_->Resume(run_id).status().code(), absl::StatusCode::kFailedPrecondition)
      << "it is still stopping";
  held_.set_value();
  const RunStatus stopped = Finish(run_id);
  EXPECT_EQ(stopped.state, RunState::kStopped);
  EXPECT_EQ(stopped.committed_steps, 1);
  EXPECT_TRUE(manager_->Stop(run_id).ok()) << "again is harmless";
  cluster_.learner.on_train = nullptr;
  ASSERT_TRUE(manager_->Resume(run_id).ok());
  EXPECT_EQ(Finish(run_id).state, RunState::kDone);
  EXPECT_EQ(manager_->Resume(run_id).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(manager_->Stop(run_id).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RunManagerTest, ARunThatWasInterruptedGoesOnByItself) {
  const std::string run_id = ShutDownInStepTwo();
  EXPECT_EQ(life_->ledger->GetRun(run_id)->state, RunState::kRunning);
  cluster_.learner.on_train = nullptr;
  StartProcess();
  EXPECT_EQ(Finish(run_id).state, RunState::kDone);
  EXPECT_EQ(cluster_.learner.trained, 3);
}

TEST_F(RunManagerTest, AnInterruptedRunWhoseDataAreGoneHasFailedAlsoInTheMetrics) {
  const std::string run_id = ShutDownInStepTwo();
  std::filesystem::remove(folder_ / "data.jsonl");
  StartProcess();
  EXPECT_EQ(manager_->Get(run_id)->state, RunState::kFailed);
  const std::string series = "mellow_orchestrator_run_state{run=\"" + run_id + "\",state=";
  EXPECT_THAT(life_->registry_of_metrics.Text(), HasSubstr(series + "\"failed\"} 1"));
  EXPECT_THAT(life_->registry_of_metrics.Text(), HasSubstr(series + "\"running\"} 0"));
}

TEST_F(RunManagerTest, ARestartedPolicyGetsTheNewestAdapterAlsoWithoutARun) {
  Finish(Start(2));
  for (auto& policy : cluster_.policies) policy->Restart();
  StartProcess();
  for (auto& policy : cluster_.policies) {
    // The registry tells when the supervisor is through.
    std::promise<void> changed;
    std::atomic<bool> told{false};
    const auto check = [&] {
      const auto ready = life_->registry.Ready(NodeRole::kPolicy, SteadyTime::InfiniteFuture());
      if (ready.size() == 2 && !told.exchange(true)) changed.set_value();
    };
    const NodeRegistry::Subscription subscription(&life_->registry, check);
    check();
    changed.get_future().wait();
    EXPECT_EQ(policy->Report().adapters.back().version, 2);
  }
}

TEST_F(RunManagerTest, ARunThatCannotBeIsRefusedAndNotRecorded) {
  const auto refused = [this](std::function<void(RunConfig*)> change) {
    change_ = std::move(change);
    const absl::Status status = manager_->Start(MakeRequest(1)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refused([this](RunConfig* c) { c->data.path = folder_ / "none.jsonl"; }),
              HasSubstr("none.jsonl"));
  EXPECT_THAT(refused([](RunConfig* c) { c->reward.label = "kind"; }),
              HasSubstr("reward.label: kind"));
  EXPECT_THAT(refused([](RunConfig* c) { c->reward.toxic_label = "rude"; }),
              HasSubstr("reward.toxic_label: rude"));
  EXPECT_THAT(refused([](RunConfig* c) { c->start_adapter = "bad"; }),
              HasSubstr("start_adapter: bad: no such folder"))
      << "the learner was asked";
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              ::testing::Not(HasSubstr("mellow_orchestrator_run_state")))
      << "nothing for an alert to fire on";
  EXPECT_TRUE(manager_->List()->empty());
}

TEST_F(RunManagerTest, ARunHasDatesAndItsLastStepAndAfterARestartItsMetrics) {
  std::vector<std::string> ids;
  for (int i = 0; i < 2; ++i) {
    ids.push_back(Start(2));
    Finish(ids.back());
  }
  const RunStatus run = *manager_->Get(ids[0]);
  EXPECT_GT(run.created_ms, 1'600'000'000'000) << "milliseconds since 1970";
  EXPECT_GE(run.ended_ms, run.created_ms);
  ASSERT_TRUE(run.last_step.has_value());
  EXPECT_EQ(run.last_step->step, 2);
  EXPECT_GE(run.last_step->committed_ms, run.created_ms);
  EXPECT_LE(run.last_step->committed_ms, run.ended_ms);
  StartProcess();
  const std::string metrics = life_->registry_of_metrics.Text();
  for (const std::string& id : ids) {
    EXPECT_THAT(metrics, HasSubstr("mellow_orchestrator_step{run=\"" + id + "\"} 2"));
    EXPECT_THAT(metrics,
                HasSubstr("mellow_orchestrator_run_state{run=\"" + id + "\",state=\"done\"} 1"));
    EXPECT_THAT(metrics, HasSubstr("mellow_orchestrator_newest_run{run=\"" + id + "\"} " +
                                   (id == ids.back() ? "1" : "0")));
  }
}

TEST_F(RunManagerTest, AFailedRunSaysWhyAndMayBeResumed) {
  cluster_.learner.wrong_reference = true;
  const std::string run_id = Start(1);
  const RunStatus failed = Finish(run_id);
  EXPECT_EQ(failed.state, RunState::kFailed);
  EXPECT_THAT(failed.error, HasSubstr("self-test"));
  cluster_.learner.wrong_reference = false;
  ASSERT_TRUE(manager_->Resume(run_id).ok());
  EXPECT_EQ(Finish(run_id).state, RunState::kDone);
}

TEST_F(RunManagerTest, ARunThatItsGuardStoppedSaysWhyServesTheGoodVersionAndMayBeResumed) {
  change_ = [](RunConfig* config) {
    config->guard = GuardConfig{
        .kl_max = 10, .min_response_tokens = 0, .max_repetition = 0, .score_drop = 0, .window = 2};
  };
  cluster_.learner.kl = [](const TrainCall& call) {
    return !absl::EndsWith(call.run_id, "-guard1") && call.step >= 4 ? 100 : 1;
  };
  const std::string run_id = Start(5);
  const RunStatus stopped = Finish(run_id);
  EXPECT_EQ(stopped.state, RunState::kStopped);
  EXPECT_THAT(stopped.error, HasSubstr("stopped by its guard: guard.kl_max: "));
  EXPECT_EQ(stopped.committed_steps, 4);
  ASSERT_EQ(stopped.trips.size(), 1u);
  EXPECT_EQ(stopped.adapter, stopped.trips[0].good);
  EXPECT_EQ(stopped.adapter_path, "/ckpt/" + run_id + "-guard1/4");
  StartProcess();
  EXPECT_EQ(manager_->Get(run_id)->error, stopped.error) << "it is in the ledger";
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              HasSubstr("mellow_ppo_guard_trips{check=\"kl_max\",run=\"" + run_id + "\"} 1"));
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              HasSubstr("mellow_ppo_first_kl{run=\"" + run_id + "\"} 1\n"));
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              HasSubstr("mellow_ppo_objective_kl{run=\"" + run_id + "\"} 100\n"));
  ASSERT_TRUE(manager_->Resume(run_id).ok());
  const RunStatus done = Finish(run_id);
  EXPECT_EQ(done.state, RunState::kDone);
  EXPECT_EQ(done.error, "");
  EXPECT_EQ(done.trips.size(), 1u);
  EXPECT_EQ(done.adapter_path, "/ckpt/" + run_id + "-guard1/5");
}

TEST_F(RunManagerTest, AJudgeWithoutTheLabelIsNamedBeforeTheRunIsMade) {
  change_ = [](RunConfig* config) {
    config->guard.emplace();
    config->guard->judge = JudgeConfig{.label = "kind"};
  };
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-1"));
  cluster_.rewards.back()->role = NodeRole::kJudge;
  cluster_.RegisterAll(&life_->registry);
  const absl::Status status = manager_->Start(MakeRequest(1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("guard.judge.label: kind"));
}

TEST_F(RunManagerTest, ARunOfEachMethodMayBeInProgressAndEachIsStoppedByItself) {
  const auto [ppo, sft] = HoldARunOfEachMethod();
  EXPECT_EQ(manager_->Get(ppo)->state, RunState::kRunning);
  EXPECT_EQ(manager_->Get(sft)->state, RunState::kRunning);
  EXPECT_EQ(manager_->Get(sft)->progress, "pairs after -1") << "as it was opened";
  const auto second = manager_->Start({"other pairs", "another"});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(sft));

  ASSERT_TRUE(manager_->Stop(sft).ok());
  go_.set_value();
  EXPECT_EQ(Finish(sft, -1).state, RunState::kStopped);
  EXPECT_THAT(steps_, ElementsAre(0, 1));
  EXPECT_EQ(manager_->Get(ppo)->state, RunState::kRunning);
  cluster_.learner.on_sft_step = nullptr;
  ASSERT_TRUE(manager_->Resume(sft).ok());
  const RunStatus done = Finish(sft, 1);
  EXPECT_EQ(done.state, RunState::kDone);
  EXPECT_EQ(done.committed_steps, FakeLearner::kSftSteps);
  EXPECT_EQ(done.progress, "pairs after 5");
  EXPECT_THAT(steps_, ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              HasSubstr("mellow_orchestrator_run_state{run=\"" + ppo + "\",state=\"running\"} 1"))
      << "each has its own";
  const std::string sft_done =
      "mellow_orchestrator_run_state{run=\"" + sft + "\",state=\"done\"} 1";
  EXPECT_THAT(life_->registry_of_metrics.Text(), HasSubstr(sft_done));
  held_.set_value();
  EXPECT_EQ(Finish(ppo).state, RunState::kDone);
  StartProcess();
  EXPECT_THAT(life_->registry_of_metrics.Text(), HasSubstr(sft_done)) << "after a restart";
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              HasSubstr("mellow_orchestrator_newest_run{run=\"" + sft + "\"} 1"));
}

TEST_F(RunManagerTest, WhatTheLearnerCannotTrainIsRefusedBeforeTheRunIsMade) {
  const auto refused = manager_->Start({"bad", ""});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("data.path"));
  EXPECT_TRUE(manager_->List()->empty());
  // A learner that is away cannot say no: the run is made, and fails when it is back.
  cluster_.learner.Kill();
  const auto made = manager_->Start({"bad", ""});
  ASSERT_TRUE(made.ok()) << made.status();
  cluster_.learner.Restart();
  cluster_.RegisterAll(&life_->registry);
  const RunStatus failed = Finish(*made);
  EXPECT_EQ(failed.state, RunState::kFailed);
  EXPECT_THAT(failed.error, HasSubstr("data.path"));
}

TEST_F(RunManagerTest, RunsOfBothMethodsGoOnAfterARestart) {
  const auto [ppo, sft] = HoldARunOfEachMethod();
  std::future<void> down = std::async(std::launch::async, [&] { manager_->Shutdown(); });
  // Watchers are told at once, before the runs have returned.
  RecordingSink sink;
  EXPECT_EQ(manager_->Watch(sft, -1, &sink).code(), absl::StatusCode::kUnavailable);
  held_.set_value();
  go_.set_value();
  down.wait();
  EXPECT_EQ(life_->ledger->GetRun(sft)->state, RunState::kRunning);
  cluster_.learner.on_train = nullptr;
  cluster_.learner.on_sft_step = nullptr;
  StartProcess();
  EXPECT_EQ(Finish(sft, -1).state, RunState::kDone);
  EXPECT_THAT(steps_, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(Finish(ppo).state, RunState::kDone);
}

TEST_F(RunManagerTest, AWatcherThatGoesAwayIsLetGo) {
  HoldTraining(1);
  const std::string run_id = Start(1);
  reached_.get_future().wait();
  RecordingSink sink;
  std::future<absl::Status> watch =
      std::async(std::launch::async, [&] { return manager_->Watch(run_id, 0, &sink); });
  sink.gone = true;
  EXPECT_EQ(watch.get().code(), absl::StatusCode::kCancelled);
  held_.set_value();
}

TEST_F(RunManagerTest, UnknownRunsAreNotFound) {
  RecordingSink sink;
  EXPECT_EQ(manager_->Get("nope").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager_->Stop("nope").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager_->Resume("nope").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager_->Watch("nope", 0, &sink).code(), absl::StatusCode::kNotFound);
}

}  // namespace run_manager_test
}  // namespace mellow::orchestrator
