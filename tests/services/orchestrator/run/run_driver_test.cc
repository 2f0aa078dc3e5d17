#include "services/orchestrator/run/run_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <set>

#include "tests/services/orchestrator/gate.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/wait_until.h"

namespace mellow::orchestrator {
namespace run_driver_test {

using ::testing::HasSubstr;

constexpr int kSteps = 3;

// The adapters of a run that nothing disturbed.
std::vector<std::string> UndisturbedHashes(const RunConfig& config) {
  testing::TempFolder folder;
  FakeCluster cluster(1, 1);
  Life life(&cluster, folder.path());
  EXPECT_TRUE(life.Drive("run", config).ok());
  return HashesOf(life.ledger.get(), "run");
}

// Every rollout of the steps that are still kept is there once, scored.
void ExpectEachRolloutOnce(Ledger* ledger, const RunConfig& config) {
  for (int step = 1; step <= config.steps; ++step) {
    const auto rollouts = ledger->Rollouts("run", step);
    ASSERT_TRUE(rollouts.ok());
    ASSERT_EQ(static_cast<int>(rollouts->size()), config.batch_size) << "step " << step;
    for (int i = 0; i < config.batch_size; ++i) {
      EXPECT_EQ((*rollouts)[i].prompt_index,
                static_cast<uint64_t>((step - 1) * config.batch_size + i));
      EXPECT_TRUE((*rollouts)[i].score.has_value());
    }
  }
}

class RunDriverTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  FakeCluster cluster_{2, 2};
};

TEST_F(RunDriverTest, CommitsEveryStepWithGrowingVersions) {
  const RunConfig config = MakeRunConfig(kSteps);
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  const auto steps = life.ledger->Steps("run", 0, kAllSteps);
  ASSERT_EQ(steps->size(), 3u);
  for (int i = 0; i < kSteps; ++i) {
    const StepRecord& step = (*steps)[i];
    EXPECT_EQ(step.step, i + 1);
    EXPECT_EQ(step.adapter.version, i + 1);
    EXPECT_EQ(step.adapter.sha256, cluster_.learner.Hashes("run")[i]);
    EXPECT_EQ(step.Stat("ppo/returns/mean"), 1.5);
    EXPECT_GT(step.response_tokens_mean, 1);
    for (const char* phase : {"generate", "reward", "train", "publish", "canary"}) {
      EXPECT_TRUE(step.phase_seconds.contains(phase)) << phase;
    }
  }
  ExpectEachRolloutOnce(life.ledger.get(), config);
  EXPECT_EQ(life.observer.steps().size(), 3u);
  for (const auto& policy : cluster_.policies) {
    // A step needs one node; the others get its adapter as they can.
    EXPECT_TRUE(testing::WaitUntil([&] { return policy->Report().adapters.back().version == 3; }));
  }
}

TEST_F(RunDriverTest, TheNumberOfNodesChangesNothing) {
  const RunConfig config = MakeRunConfig(kSteps);
  FakeCluster many(5, 3);
  Life life(&many, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

TEST_F(RunDriverTest, TheLearnerGetsEveryNumberThatTheNodesCanCompute) {
  const RunConfig config = MakeRunConfig(kSteps);
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(cluster_.learner.given_values, kSteps * config.batch_size);
  EXPECT_EQ(cluster_.learner.given_references, kSteps * config.batch_size);
}

TEST_F(RunDriverTest, NodesOfAnotherPrecisionComputeNothingForTheLearner) {
  const RunConfig config = MakeRunConfig(kSteps);
  for (auto& policy : cluster_.policies) policy->model.precision = "bfloat16";
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(cluster_.learner.given_values, 0);
  EXPECT_EQ(cluster_.learner.given_references, 0);
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

TEST_F(RunDriverTest, ANodeOfAnotherPrecisionAmongOthersChangesNothing) {
  const RunConfig config = MakeRunConfig(kSteps);
  cluster_.policies[0]->model.precision = "bfloat16";
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(cluster_.policies[0]->generated, 0);
  EXPECT_EQ(cluster_.learner.given_values, kSteps * config.batch_size);
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

TEST_F(RunDriverTest, FullKlIsLeftToTheLearner) {
  RunConfig config = MakeRunConfig(kSteps);
  config.full_kl = true;
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(cluster_.learner.given_values, kSteps * config.batch_size);
  EXPECT_EQ(cluster_.learner.given_references, 0);
}

// The nodes keep the adapter that the run started from, also those that restart.
TEST_F(RunDriverTest, AStartAdapterIsTheReferenceToTheEnd) {
  RunConfig config = MakeRunConfig(4);
  config.start_adapter = "/peft";
  FakeCluster cluster(1, 1);
  FakePolicy& policy = *cluster.policies[0];
  {
    Life life(&cluster, folder_.path());
    cluster.learner.on_train = [&](const TrainCall& call) {
      if (call.step == 2) life.stop.request_stop();
    };
    EXPECT_EQ(life.Drive("run", config).code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(policy.references, 0) << "it still has that version";
    cluster.learner.on_train = nullptr;
  }
  policy.Restart();
  Life life(&cluster, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(policy.references, 1);
  EXPECT_EQ(cluster.learner.given_values, 4 * config.batch_size);
  EXPECT_EQ(cluster.learner.given_references, 4 * config.batch_size);
}

TEST_F(RunDriverTest, TheLearnerIsToldOfTheWorkersThatAreThereInEachStep) {
  Life life(&cluster_, folder_.path());
  std::vector<size_t> workers;
  cluster_.learner.on_train = [&](const TrainCall& call) {
    workers.push_back(call.workers.size());
    NodeReport report = cluster_.learner.Report();
    report.node_id = absl::StrCat("learner-worker-", workers.size());
    report.role = NodeRole::kLearnerWorker;
    // The second has another model.
    if (workers.size() == 2) report.capacity.model_sha256 = "another";
    EXPECT_TRUE(life.registry.Register(report, SteadyTime::Now()).ok());
  };
  ASSERT_TRUE(life.Drive("run", MakeRunConfig(kSteps)).ok());
  EXPECT_THAT(workers, ::testing::ElementsAre(0, 1, 1));
}

bool AllHave(const FakeCluster& cluster, int64_t version) {
  return std::all_of(cluster.policies.begin(), cluster.policies.end(), [&](const auto& policy) {
    const std::vector<AdapterRef> adapters = policy->Report().adapters;
    return !adapters.empty() && adapters.back().version == version;
  });
}

TEST_F(RunDriverTest, OfManyNodesMostGetTheAdapterFromAnotherOne) {
  FakeCluster many(60, 1);
  Life life(&many, folder_.path());
  ASSERT_TRUE(life.Drive("run", MakeRunConfig(kSteps)).ok());
  EXPECT_TRUE(testing::WaitUntil([&] { return AllHave(many, kSteps); }));
  int fetched = 0;
  int direct = 0;
  for (const auto& policy : many.policies) {
    fetched += policy->fetched;
    direct += policy->published - policy->fetched;
  }
  EXPECT_LE(direct, kSteps * AdapterSources::kDirect);
  EXPECT_GE(fetched, 60 - AdapterSources::kDirect) << "of the last version alone";
}

TEST_F(RunDriverTest, WhereNodesCannotReachEachOtherAllGetTheAdapterAnyway) {
  FakeCluster many(20, 1);
  many.on_call = [](const std::string& name) {
    return name == "policy.FetchAdapter" ? absl::UnavailableError("no route") : absl::OkStatus();
  };
  Life life(&many, folder_.path());
  ASSERT_TRUE(life.Drive("run", MakeRunConfig(kSteps)).ok());
  EXPECT_TRUE(testing::WaitUntil([&] { return AllHave(many, kSteps); }));
}

TEST_F(RunDriverTest, AnotherSeedGivesOtherAdapters) {
  RunConfig config = MakeRunConfig(1);
  const auto hashes = UndisturbedHashes(config);
  config.seed = 8;
  EXPECT_NE(UndisturbedHashes(config), hashes) << "or the tests below prove nothing";
}

// Kills the orchestrator at each of its calls in turn, before or after the call's effect, and lets
// another one go on.
class KilledOrchestratorTest : public ::testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(KilledOrchestratorTest, TheRunGoesOnToTheSameAdaptersWhereverItDied) {
  const auto [staleness, after_effect] = GetParam();
  RunConfig config = MakeRunConfig(2);
  config.max_staleness = staleness;
  const std::vector<std::string> expected = UndisturbedHashes(config);
  ASSERT_EQ(expected.size(), 2u);
  bool survived = false;
  int deaths = 0;
  for (int call = 1; !survived; ++call) {
    SCOPED_TRACE(absl::StrCat("killed at call ", call));
    testing::TempFolder folder;
    FakeCluster cluster(2, 1);
    {
      Life life(&cluster, folder.path());
      life.DieAt(call, after_effect);
      survived = life.Drive("run", config).ok() && !life.kill.dead();
      deaths += !survived;
    }
    Life next(&cluster, folder.path());
    const absl::Status status = next.Drive("run", config);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(HashesOf(next.ledger.get(), "run"), expected);
    EXPECT_EQ(cluster.learner.trained, 2) << "each step is trained once";
    ExpectEachRolloutOnce(next.ledger.get(), config);
  }
  EXPECT_GT(deaths, 30);
}

INSTANTIATE_TEST_SUITE_P(Driver, KilledOrchestratorTest,
                         ::testing::Combine(::testing::Values(0, 1), ::testing::Bool()));

TEST_F(RunDriverTest, ALearnerThatIsKilledInAStepIsWaitedForAndOpenedAgain) {
  const RunConfig config = MakeRunConfig(kSteps);
  Life life(&cluster_, folder_.path());
  std::atomic<int> calls{0};
  cluster_.learner.on_train = [&](const TrainCall&) {
    if (++calls == 2) cluster_.learner.Kill();
  };
  std::future<absl::Status> status =
      std::async(std::launch::async, [&] { return life.Drive("run", config); });
  life.observer.WaitForActivity("waiting for the learner: at learner: ");
  cluster_.learner.Restart();
  cluster_.RegisterAll(&life.registry);
  EXPECT_TRUE(status.get().ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
  EXPECT_EQ(cluster_.learner.trained, kSteps);
}

// The store's copy has a flipped bit, and no policy has the adapter anymore: without the learner's
// copy all of them would be quarantined for ever.
TEST_F(RunDriverTest, ADamagedAdapterIsNotPublishedAndComesFromTheLearner) {
  const RunConfig config = MakeRunConfig(kSteps);
  std::string folder;
  {
    Life life(&cluster_, folder_.path());
    for (auto& policy : cluster_.policies) {
      policy->on_generate = [&](const GenerateCall& call, std::stop_token) -> absl::Status {
        if (call.adapter_version == 0) return absl::OkStatus();
        life.shutdown.request_stop();  // before anything of step 2 is sampled
        return absl::CancelledError("given up");
      };
    }
    EXPECT_FALSE(life.Drive("run", config).ok());
    for (auto& policy : cluster_.policies) policy->on_generate = nullptr;
    folder = (*life.ledger->NewestAdapter())->folder;
  }
  std::ofstream(folder + "/adapter_model.safetensors") << "a flipped bit";
  for (auto& policy : cluster_.policies) policy->Restart();
  Life life(&cluster_, folder_.path());
  const auto damaged =
      life.Parts().adapters->Read(folder, (*life.ledger->NewestAdapter())->ref.sha256);
  EXPECT_EQ(damaged.status().code(), absl::StatusCode::kDataLoss) << damaged.status();
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

// Alive, and hung in a step: the call is given up as soon as it says so, and made again when it has
// come to itself.
TEST_F(RunDriverTest, ALearnerThatIsStuckIsNotWaitedForAndTrainsTheStepLater) {
  const RunConfig config = MakeRunConfig(kSteps);
  Gate never;
  std::atomic<bool> hangs{true};
  cluster_.learner.on_train_until = [&](const TrainCall& call, std::stop_token stop) {
    return call.step == 2 && hangs ? never.Pass(stop) : absl::OkStatus();
  };
  Life life(&cluster_, folder_.path());
  std::future<absl::Status> status =
      std::async(std::launch::async, [&] { return life.Drive("run", config); });
  never.WaitForSomebody();
  cluster_.learner.stalled_seconds = 5;
  cluster_.RegisterAll(&life.registry);
  life.observer.WaitForActivity(
      "step 2: train: waiting for the learner: learner at learner is quarantined: its engine has "
      "made no progress for 5 s");
  hangs = false;
  cluster_.learner.stalled_seconds = 0;
  cluster_.RegisterAll(&life.registry);
  EXPECT_TRUE(status.get().ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

TEST_F(RunDriverTest, AStopWaitsForALearnerThatIsStuckOnlyUntilItSaysSo) {
  Gate never;
  cluster_.learner.on_train_until = [&](const TrainCall&, std::stop_token stop) {
    return never.Pass(stop);
  };
  Life life(&cluster_, folder_.path());
  std::future<absl::Status> status =
      std::async(std::launch::async, [&] { return life.Drive("run", MakeRunConfig(kSteps)); });
  never.WaitForSomebody();
  life.stop.request_stop();
  cluster_.learner.stalled_seconds = 5;
  cluster_.RegisterAll(&life.registry);
  EXPECT_EQ(status.get().code(), absl::StatusCode::kCancelled);
}

TEST_F(RunDriverTest, APolicyThatRestartsGetsTheAdapterBeforeItWorks) {
  const RunConfig config = MakeRunConfig(kSteps);
  FakeCluster cluster(1, 1);
  Life life(&cluster, folder_.path());
  std::atomic<bool> killed{false};
  FakePolicy& policy = *cluster.policies[0];
  policy.on_generate = [&](const GenerateCall& call, std::stop_token) {
    if (call.adapter_version == 2 && !killed.exchange(true)) {
      policy.Restart();
      cluster.RegisterAll(&life.registry);
    }
    return absl::OkStatus();
  };
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_TRUE(killed);
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

TEST_F(RunDriverTest, ANodeThatSilentlyKeepsTheOldWeightsServesNoRollout) {
  const RunConfig config = MakeRunConfig(kSteps);
  Life life(&cluster_, folder_.path());
  cluster_.policies[0]->keeps_old_weights = true;
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
  EXPECT_LE(cluster_.policies[0]->generated, config.batch_size) << "in step 1 only";
  EXPECT_THAT(life.registry_of_metrics.Text(),
              HasSubstr("mellow_orchestrator_canary_failures_total{node=\"policy-0\"}"));
  EXPECT_EQ(life.registry.List().at(0).state, NodeState::kQuarantined);
  EXPECT_THAT(life.registry.List().at(0).reason, HasSubstr("log-prob differs by"));
}

TEST_F(RunDriverTest, ALearnerWithAnotherModelFailsTheSelfTestWithTheFigures) {
  Life life(&cluster_, folder_.path());
  cluster_.learner.other_model = true;
  const absl::Status status = life.Drive("run", MakeRunConfig(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("self-test"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("differs by"));
  EXPECT_EQ(cluster_.learner.trained, 0);
}

TEST_F(RunDriverTest, AReferenceThatIsNotTheStartFailsTheSelfTest) {
  Life life(&cluster_, folder_.path());
  cluster_.learner.wrong_reference = true;
  RunConfig config = MakeRunConfig(1);
  EXPECT_THAT(std::string(life.Drive("run", config).message()), HasSubstr("reference"));
  EXPECT_EQ(cluster_.learner.trained, 0);
}

TEST_F(RunDriverTest, AStoppedRunResumesToTheSameAdapters) {
  const RunConfig config = MakeRunConfig(kSteps);
  {
    Life life(&cluster_, folder_.path());
    cluster_.learner.on_train = [&](const TrainCall& call) {
      if (call.step == 2) life.stop.request_stop();
    };
    EXPECT_EQ(life.Drive("run", config).code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(life.ledger->Steps("run", 0, kAllSteps)->size(), 1u);
    EXPECT_EQ(cluster_.learner.trained, 2) << "the phase in progress was finished";
    cluster_.learner.on_train = nullptr;
  }
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
}

TEST_F(RunDriverTest, ARunThatResumesAfterAnotherOneKeepsItsWeightsUnderANewVersion) {
  const RunConfig config = MakeRunConfig(kSteps);
  {
    Life life(&cluster_, folder_.path());
    cluster_.learner.on_train = [&](const TrainCall& call) {
      if (call.step == 2) life.stop.request_stop();
    };
    EXPECT_EQ(life.Drive("run", config).code(), absl::StatusCode::kCancelled);
    ASSERT_TRUE(life.ledger->SetRunState("run", RunState::kStopped, "").ok());
    cluster_.learner.on_train = nullptr;
  }
  {
    Life life(&cluster_, folder_.path());
    RunConfig other = MakeRunConfig(2);
    other.seed = 99;
    ASSERT_TRUE(life.Drive("other", other).ok());
    EXPECT_EQ(life.ledger->Steps("other", 0, kAllSteps)->back().adapter.version, 4)
        << "after 1 and 2";
    ASSERT_TRUE(life.ledger->SetRunState("other", RunState::kDone, "").ok());
  }
  Life life(&cluster_, folder_.path());
  // Step 2 was trained as version 2, which no policy takes anymore.
  const absl::Status status = life.Drive("run", config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config));
  EXPECT_EQ(life.ledger->Steps("run", 0, kAllSteps)->back().adapter.version, 6);
  EXPECT_TRUE(testing::WaitUntil(
      [&] { return cluster_.policies[0]->Report().adapters.back().version == 6; }));
}

TEST_F(RunDriverTest, AStartAdapterIsPublishedBeforeTheFirstStep) {
  RunConfig config = MakeRunConfig(1);
  config.start_adapter = "/peft";
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  const auto rollouts = life.ledger->Rollouts("run", 1);
  EXPECT_EQ(rollouts->at(0).adapter.version, 1);
  EXPECT_EQ(rollouts->at(0).adapter, *life.ledger->GetRun("run")->start);
  EXPECT_EQ(life.ledger->Steps("run", 0, kAllSteps)->at(0).adapter.version, 2);
}

TEST_F(RunDriverTest, WithStalenessEachStepIsSampledByTheWeightsBeforeTheLast) {
  RunConfig config = MakeRunConfig(kSteps);
  config.max_staleness = 2;
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config).ok());
  for (int step = 1; step <= kSteps; ++step) {
    const int64_t sampled_by = step <= 2 ? 0 : step - 2;
    const auto rollouts = life.ledger->Rollouts("run", step);
    ASSERT_TRUE(rollouts.ok()) << rollouts.status();
    for (const Rollout& rollout : *rollouts) {
      EXPECT_EQ(rollout.adapter.version, sampled_by) << "step " << step;
    }
  }
  EXPECT_EQ(cluster_.learner.given_values, config.batch_size) << "of what is not stale";
  EXPECT_EQ(cluster_.learner.given_references, kSteps * config.batch_size);
  EXPECT_EQ(life.observer.steps()[0].staleness, 0);
  EXPECT_EQ(life.observer.steps()[2].staleness, 1);
}

TEST_F(RunDriverTest, WithStalenessTheNextStepIsSampledWhileThisOneTrains) {
  RunConfig config = MakeRunConfig(2);
  config.max_staleness = 1;
  Life life(&cluster_, folder_.path());
  // Training of step 1 does not end before all of step 2 is sampled: without overlap the test would
  // hang.
  cluster_.learner.on_train = [&](const TrainCall& call) {
    if (call.step == 1) life.observer.WaitForActivity("step 2: generate 2/2");
  };
  EXPECT_TRUE(life.Drive("run", config).ok());
}

class LostCheckpointTest : public ::testing::TestWithParam<int> {
 protected:
  LostCheckpointTest() { config_.max_staleness = GetParam(); }

  RunConfig config_ = MakeRunConfig(3);
  testing::TempFolder folder_;
  FakeCluster cluster_{2, 1};
};

TEST_P(LostCheckpointTest, ALearnerThatLostItsNewestStepsTrainsThemAgainToTheSameHash) {
  {
    Life life(&cluster_, folder_.path());
    cluster_.learner.on_train = [&](const TrainCall& call) {
      if (call.step == 3) life.stop.request_stop();
    };
    EXPECT_EQ(life.Drive("run", config_).code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(life.ledger->Steps("run", 0, kAllSteps)->size(), 2u);
    EXPECT_EQ(cluster_.learner.trained, 3);
    cluster_.learner.on_train = nullptr;
  }
  cluster_.learner.LoseNewestStep("run");
  cluster_.learner.LoseNewestStep("run");
  Life life(&cluster_, folder_.path());
  const absl::Status status = life.Drive("run", config_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config_));
  EXPECT_EQ(cluster_.learner.Hashes("run"), UndisturbedHashes(config_));
  EXPECT_EQ(cluster_.learner.trained, 5) << "a committed step and one that was not, twice";
}

TEST_P(LostCheckpointTest, AlsoWhenItRestartsInTheMiddleOfAStep) {
  Life life(&cluster_, folder_.path());
  std::atomic<int> calls{0};
  cluster_.learner.on_train = [&](const TrainCall& call) {
    if (call.step != 3 || calls++ != 0) return;
    cluster_.learner.LoseNewestStep("run");
    cluster_.learner.Restart();
    cluster_.RegisterAll(&life.registry);
  };
  const absl::Status status = life.Drive("run", config_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), UndisturbedHashes(config_));
}

INSTANTIATE_TEST_SUITE_P(Driver, LostCheckpointTest, ::testing::Values(0, 1));

TEST_F(RunDriverTest, ALearnerWhoseCheckpointsAreGoneIsAClearError) {
  // More steps than the ledger keeps the rollouts of.
  const RunConfig config = MakeRunConfig(8);
  {
    Life life(&cluster_, folder_.path());
    ASSERT_TRUE(life.Drive("run", MakeRunConfig(7)).ok());
  }
  FakeCluster fresh(1, 1);
  Life life(&fresh, folder_.path());
  const absl::Status status = life.Drive("run", config);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the learner has 0 steps"));
}

}  // namespace run_driver_test
}  // namespace mellow::orchestrator
