#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/stats/mean.h"
#include "services/orchestrator/run/adapter_shelf.h"
#include "services/orchestrator/run/run_driver.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace guarded_run_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kSteps = 6;

RunConfig GuardedConfig(GuardAction action) {
  RunConfig config = MakeRunConfig(kSteps);
  // The other numbers of the fakes are noise.
  config.guard = GuardConfig{.kl_max = 10,
                             .min_response_tokens = 0,
                             .max_repetition = 0,
                             .score_drop = 0,
                             .window = 2,
                             .action = action};
  return config;
}

// The run goes wrong in its step 4; the window of that one begins with step 3.
double KlOfABadLine(const TrainCall& call) {
  return call.run_id == "run" && call.step >= 4 ? 100 : 1;
}

std::string Told(const GuardTrip& trip) {
  return absl::StrCat(trip.check, " ", trip.step, " -> ", trip.good_step);
}

std::vector<GuardTrip> TripsOf(Ledger* ledger) { return *ledger->Trips("run"); }

bool EverHad(const FakePolicy& policy, int64_t version) {
  const std::vector<AdapterRef> adapters = policy.Report().adapters;
  return std::any_of(adapters.begin(), adapters.end(),
                     [&](const AdapterRef& ref) { return ref.version == version; });
}

class GuardedRunTest : public ::testing::Test {
 protected:
  GuardedRunTest() { cluster_.learner.kl = KlOfABadLine; }

  testing::TempFolder folder_;
  FakeCluster cluster_{1, 2};
};

TEST_F(GuardedRunTest, AGuardThatFindsNothingChangesNothing) {
  cluster_.learner.kl = nullptr;
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", GuardedConfig(GuardAction::kStop)).ok());
  testing::TempFolder other_folder;
  FakeCluster other(1, 1);
  Life unwatched(&other, other_folder.path());
  ASSERT_TRUE(unwatched.Drive("run", MakeRunConfig(kSteps)).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), HashesOf(unwatched.ledger.get(), "run"));
  EXPECT_EQ(cluster_.learner.Opened("run").keep_checkpoints, 4);
  EXPECT_EQ(other.learner.Opened("run").keep_checkpoints, 0);
  EXPECT_TRUE(life.ledger->Trips("run")->empty());
}

TEST_F(GuardedRunTest, ContinuesFromTheGoodVersionWithASmallerLearningRate) {
  Life life(&cluster_, folder_.path());
  const absl::Status driven = life.Drive("run", GuardedConfig(GuardAction::kContinue));
  ASSERT_TRUE(driven.ok()) << driven;
  const std::vector<StepRecord> steps = *life.ledger->Steps("run", 0, kAllSteps);
  ASSERT_EQ(steps.size(), 6u);
  ASSERT_TRUE(steps[3].trip.has_value());
  const GuardTrip& trip = *steps[3].trip;
  EXPECT_EQ(Told(trip), "kl_max 4 -> 1");
  EXPECT_EQ(trip.value, 49.5) << "the mean of 1 and 100, above 1";
  EXPECT_EQ(trip.bound, 10);
  EXPECT_EQ(trip.good.sha256, steps[0].adapter.sha256);
  EXPECT_EQ(trip.good.version, 5) << "after that of step 4";
  EXPECT_EQ(trip.good_path, "/ckpt/run-guard1/4");
  ASSERT_TRUE(life.observer.steps()[3].trip.has_value());
  EXPECT_EQ(life.observer.steps()[3].trip->reason, trip.reason) << "whoever watches is told";

  const OpenCall fork = cluster_.learner.Opened("run-guard1");
  ASSERT_TRUE(fork.fork.has_value());
  EXPECT_EQ(fork.fork->run_id, "run");
  EXPECT_EQ(fork.fork->step, 1);
  EXPECT_EQ(fork.fork->after_step, 4);
  EXPECT_EQ(fork.fork->learning_rate_factor, 0.5);
  EXPECT_EQ(fork.start_version, 5);
  EXPECT_EQ(cluster_.learner.Hashes("run-guard1").size(), 2u) << "steps 5 and 6";

  const std::vector<Rollout> rollouts = *life.ledger->Rollouts("run", 5);
  EXPECT_EQ(rollouts.size(), 8u);
  for (const Rollout& rollout : rollouts) EXPECT_EQ(rollout.adapter, trip.good);
  EXPECT_EQ(cluster_.learner.given_values, kSteps * 8) << "also of the step after it";
  EXPECT_FALSE(EverHad(*cluster_.policies[0], 4)) << "what it gave up was served by nobody";
  EXPECT_TRUE(EverHad(*cluster_.policies[0], 5));
  EXPECT_THAT(life.registry_of_metrics.Text(),
              HasSubstr("mellow_ppo_guard_trips{check=\"kl_max\",run=\"run\"} 1"));
  EXPECT_THAT(life.registry_of_metrics.Text(),
              HasSubstr("mellow_ppo_guard_trips{check=\"judge_gap\",run=\"run\"} 0"));
}

TEST_F(GuardedRunTest, StopsOnTheGoodVersionAlsoWhenNobodyKnewYetHowItEnded) {
  const RunConfig config = GuardedConfig(GuardAction::kStop);
  for (int process = 0; process < 2; ++process) {
    Life life(&cluster_, folder_.path());
    if (process == 0) {
      ASSERT_TRUE(life.Create("run").ok());
    }
    FakePromptSource prompts;
    RunDriver driver(life.Parts(), "run", config, &prompts, &life.observer,
                     {life.stop.get_token(), life.shutdown.get_token()});
    const absl::Status stopped = driver.Run();
    EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
    EXPECT_THAT(std::string(stopped.message()), HasSubstr("stopped by its guard: guard.kl_max: "));
    EXPECT_EQ(life.ledger->Steps("run", 0, kAllSteps)->size(), 4u);
    EXPECT_EQ(cluster_.policies[0]->Report().adapters.back().version, 5);
    EXPECT_EQ((*life.ledger->NewestAdapter())->ref.version, 5) << "what is published at a start";
    EXPECT_FALSE(life.ledger->Trips("run")->at(0).goes_on);
  }
}

TEST_F(GuardedRunTest, AResumedRunGoesOnWithTheSmallerLearningRate) {
  const RunConfig config = GuardedConfig(GuardAction::kStop);
  {
    Life life(&cluster_, folder_.path());
    EXPECT_EQ(life.Drive("run", config).code(), absl::StatusCode::kCancelled);
    ASSERT_TRUE(life.ledger->SetRunState("run", RunState::kStopped, "why").ok());
  }
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok()) << "Create resumes it";
  EXPECT_EQ(cluster_.learner.Opened("run-guard1").fork->learning_rate_factor, 0.5);
  EXPECT_EQ(life.ledger->Steps("run", 0, kAllSteps)->size(), 6u);
  EXPECT_EQ(life.ledger->Trips("run")->size(), 1u);
}

// It was asked to end before anybody was served what it went back to; policies take no version that
// is older than their newest.
TEST_F(GuardedRunTest, WhatItWentBackToIsServedAlsoAfterAnotherRun) {
  const RunConfig config = GuardedConfig(GuardAction::kContinue);
  {
    Life life(&cluster_, folder_.path());
    cluster_.on_call = [&](const std::string& name) {
      if (name != "learner.OpenRun" || TripsOf(life.ledger.get()).empty()) return absl::OkStatus();
      life.stop.request_stop();
      return absl::UnavailableError("away");
    };
    EXPECT_EQ(life.Drive("run", config).code(), absl::StatusCode::kCancelled);
    cluster_.on_call = nullptr;
    ASSERT_TRUE(life.ledger->SetRunState("run", RunState::kStopped, "").ok());
  }
  Life life(&cluster_, folder_.path());
  RunConfig other = MakeRunConfig(1);
  other.seed = 8;  // other weights
  ASSERT_TRUE(life.Drive("other", other).ok());
  ASSERT_TRUE(life.ledger->SetRunState("other", RunState::kDone, "").ok());
  const GuardTrip trip = TripsOf(life.ledger.get()).at(0);
  const AdapterRef others = life.ledger->NewestAdapter()->value().ref;
  ASSERT_GT(others.version, trip.good.version);
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_FALSE(EverHad(*cluster_.policies[0], trip.good.version));
  const AdapterRecord served = life.ledger->FindAdapter(others.version + 1)->value();
  EXPECT_EQ(served.ref.sha256, trip.good.sha256) << "under a version that is newer";
  EXPECT_TRUE(EverHad(*cluster_.policies[0], served.ref.version));
}

TEST_F(GuardedRunTest, TripsAreBounded) {
  cluster_.learner.kl = [](const TrainCall& call) { return call.step >= 4 ? 100 : 1; };
  RunConfig config = GuardedConfig(GuardAction::kContinue);
  config.steps = 10;
  config.guard->max_trips = 1;
  Life life(&cluster_, folder_.path());
  EXPECT_EQ(life.Drive("run", config).code(), absl::StatusCode::kCancelled);
  std::vector<std::string> told;
  for (const GuardTrip& trip : TripsOf(life.ledger.get())) told.push_back(Told(trip));
  EXPECT_THAT(told, ElementsAre("kl_max 4 -> 1", "kl_max 6 -> 1"))
      << "never behind where it went back to";
  const OpenCall second = cluster_.learner.Opened("run-guard2");
  ASSERT_TRUE(second.fork.has_value());
  EXPECT_EQ(second.fork->run_id, "run-guard1");
  EXPECT_EQ(second.fork->step, 4);
  EXPECT_EQ(second.fork->learning_rate_factor, 0.25);
}

TEST_F(GuardedRunTest, FromTheStartItGoesBackToAVersionOfTheStartThatIsNewerThanAllOthers) {
  cluster_.learner.kl = [](const TrainCall& call) {
    return call.run_id == "run" && call.step >= 2 ? 100 : 1;
  };
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", GuardedConfig(GuardAction::kContinue)).ok());
  const GuardTrip trip = life.ledger->Trips("run")->at(0);
  EXPECT_EQ(Told(trip), "kl_max 2 -> 0");
  EXPECT_EQ(trip.good.version, 3);
  EXPECT_FALSE(trip.good.sha256.empty());
  EXPECT_TRUE(EverHad(*cluster_.policies[0], 3));
}

TEST_F(GuardedRunTest, WhatItWentBackBehindIsKeptAndIsNotTheNewest) {
  Life life(&cluster_, folder_.path());
  ASSERT_EQ(life.Drive("run", GuardedConfig(GuardAction::kStop)).code(),
            absl::StatusCode::kCancelled);
  std::vector<std::string> told;
  const std::vector<ShelvedAdapter> adapters = *AdapterShelf(life.Parts()).List();
  for (const ShelvedAdapter& adapter : adapters)
    told.push_back(absl::StrCat(adapter.ref.version, " ", adapter.step,
                                adapter.withdrawn ? " withdrawn" : ""));
  EXPECT_THAT(told, ElementsAre("2 2 withdrawn", "3 3 withdrawn", "5 1"));
}

TEST_F(GuardedRunTest, AnEarlierLearnerThatKnowsOfNoForkIsNamed) {
  Life life(&cluster_, folder_.path());
  // It opens the run from the beginning.
  cluster_.learner.ignores_forks = true;
  const absl::Status status = life.Drive("run", GuardedConfig(GuardAction::kContinue));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("went back after step 4"));
}

// Kills the orchestrator at each of its calls in turn, before or after the call's effect, from step
// 3 on: until then it does what a run without a guard does (KilledOrchestratorTest).
class KilledGuardedRunTest : public ::testing::TestWithParam<std::tuple<GuardAction, int, bool>> {};

TEST_P(KilledGuardedRunTest, TheRunEndsTheSameWhereverItDied) {
  const auto [action, staleness, after_effect] = GetParam();
  RunConfig config = GuardedConfig(action);
  config.max_staleness = staleness;
  const auto end =
      action == GuardAction::kStop ? absl::StatusCode::kCancelled : absl::StatusCode::kOk;
  const auto outcome = [](Ledger* ledger) {
    std::vector<std::string> lines = HashesOf(ledger, "run");
    for (const GuardTrip& trip : TripsOf(ledger))
      lines.push_back(absl::StrCat(Told(trip), " ", trip.good.sha256, " ", trip.good_path));
    return lines;
  };
  std::vector<std::string> expected;
  int first_call = 0;
  {
    testing::TempFolder folder;
    FakeCluster cluster(1, 1);
    cluster.learner.kl = KlOfABadLine;
    Life life(&cluster, folder.path());
    cluster.learner.on_train = [&](const TrainCall& call) {
      if (call.step == 3) first_call = life.kill.calls();
    };
    ASSERT_EQ(life.Drive("run", config).code(), end);
    expected = outcome(life.ledger.get());
  }
  ASSERT_GT(first_call, 0);
  bool survived = false;
  int deaths = 0;
  for (int call = first_call; !survived; ++call) {
    SCOPED_TRACE(absl::StrCat("killed at call ", call));
    testing::TempFolder folder;
    FakeCluster cluster(1, 1);
    cluster.learner.kl = KlOfABadLine;
    {
      Life life(&cluster, folder.path());
      life.DieAt(call, after_effect);
      (void)life.Drive("run", config);
      survived = !life.kill.dead();
      deaths += !survived;
    }
    Life next(&cluster, folder.path());
    // As Recover does, which resumes nothing.
    FakePromptSource prompts;
    if (!next.ledger->GetRun("run").ok()) {
      ASSERT_TRUE(next.Create("run").ok());
    }
    RunDriver driver(next.Parts(), "run", config, &prompts, &next.observer,
                     {next.stop.get_token(), next.shutdown.get_token()});
    const absl::Status status = driver.Run();
    ASSERT_EQ(status.code(), end) << status;
    EXPECT_EQ(outcome(next.ledger.get()), expected);
    EXPECT_EQ(cluster.learner.trained, end == absl::StatusCode::kOk ? 6 : 4);
    EXPECT_FALSE(EverHad(*cluster.policies[0], 4));
  }
  EXPECT_GT(deaths, action == GuardAction::kStop ? 20 : 60);
}

INSTANTIATE_TEST_SUITE_P(Driver, KilledGuardedRunTest,
                         ::testing::Values(std::tuple(GuardAction::kContinue, 0, false),
                                           std::tuple(GuardAction::kContinue, 0, true),
                                           std::tuple(GuardAction::kContinue, 1, false),
                                           std::tuple(GuardAction::kContinue, 1, true),
                                           std::tuple(GuardAction::kStop, 0, true)));

TEST_F(GuardedRunTest, AJudgeScoresItsShareAndIsPinnedAndNoReward) {
  FakeReward& judge = *cluster_.rewards[1];
  judge.role = NodeRole::kJudge;
  judge.model.sha256 = "another classifier";
  RunConfig config = GuardedConfig(GuardAction::kStop);
  config.steps = 3;
  config.guard->judge_gap = 0;
  config.guard->judge = JudgeConfig{.label = "hate", .share = 0.5};
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(judge.scored, 3 * 4);
  EXPECT_EQ(cluster_.rewards[0]->scored, 3 * 8);
  EXPECT_EQ(life.ledger->Pins("run")->models.at(NodeRole::kJudge).sha256, "another classifier");
  const StepRecord step = life.ledger->Steps("run", 1, 1)->at(0);
  ASSERT_TRUE(step.judge.has_value());
  // The fakes say the same of a text; the judge's label is the other one.
  std::vector<double> logits;
  const std::vector<Rollout> rollouts = *life.ledger->Rollouts("run", 2);
  for (const size_t i : {0, 2, 4, 6}) logits.push_back(1.0 - rollouts[i].score->score);
  EXPECT_NEAR(step.judge->score_mean, stats::MeanAndSd(logits).mean, 1e-5);
  EXPECT_NEAR(step.judge->score_sd, stats::MeanAndSd(logits).sd, 1e-5);
  Guard guard(*config.guard, /*lag=*/0);
  const std::vector<StepRecord> steps = *life.ledger->Steps("run", 0, kAllSteps);
  for (const StepRecord& each : steps) {
    EXPECT_FALSE(guard.Observe(each).has_value());
    EXPECT_EQ(each.judge->gap, guard.judge_gap()) << each.step;
  }
  EXPECT_NE(guard.judge_gap(), 0);
}

TEST_F(GuardedRunTest, ARunWaitsForItsJudge) {
  RunConfig config = GuardedConfig(GuardAction::kStop);
  config.steps = 1;
  config.guard->judge.emplace();
  Life life(&cluster_, folder_.path());
  auto status = std::async(std::launch::async, [&] { return life.Drive("run", config); });
  life.observer.WaitForActivity("waiting for a judge node: no judge node has registered");
  NodeReport judge = cluster_.rewards[1]->Report();
  life.registry.Leave(judge.node_id, judge.incarnation);
  judge.role = NodeRole::kJudge;
  ASSERT_TRUE(life.registry.Register(judge, SteadyTime::Now()).ok());
  EXPECT_TRUE(status.get().ok());
}

}  // namespace guarded_run_test
}  // namespace mellow::orchestrator
