#include "services/orchestrator/run/sft_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/base/steady_time.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace sft_driver_test {

using ::testing::HasSubstr;

// Every step once, in order, with the learner's numbers, and the result.
void ExpectDone(Ledger* ledger) {
  const auto steps = ledger->Steps("run", kBeforeAllSteps, kAllSteps);
  ASSERT_TRUE(steps.ok()) << steps.status();
  ASSERT_EQ(steps->size(), FakeLearner::kSftSteps + 1u);
  for (int i = 0; i <= FakeLearner::kSftSteps; ++i) {
    EXPECT_EQ((*steps)[i].step, i);
    EXPECT_EQ((*steps)[i].sft, absl::StrCat("the numbers of step ", i));
  }
  EXPECT_EQ(ledger->GetRun("run")->progress, "pairs after 5");
}

class SftDriverTest : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
  FakeCluster cluster_{0, 0};
};

TEST_F(SftDriverTest, CommitsEveryStepAndTheResult) {
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.DriveSft("run", "pairs").ok());
  ExpectDone(life.ledger.get());
  EXPECT_EQ(life.observer.steps().size(), FakeLearner::kSftSteps + 1u);
  EXPECT_EQ(cluster_.learner.sft_trained, FakeLearner::kSftSteps + 1);
}

class KilledOrchestratorSftTest : public ::testing::TestWithParam<bool> {};

TEST_P(KilledOrchestratorSftTest, TheRunGoesOnWhereverItDied) {
  bool survived = false;
  int deaths = 0;
  for (int call = 1; !survived; ++call) {
    SCOPED_TRACE(absl::StrCat("killed at call ", call));
    testing::TempFolder folder;
    FakeCluster cluster(0, 0);
    {
      Life life(&cluster, folder.path());
      life.DieAt(call, /*after_effect=*/GetParam());
      survived = life.DriveSft("run", "pairs").ok() && !life.kill.dead();
      deaths += !survived;
    }
    Life next(&cluster, folder.path());
    const absl::Status status = next.DriveSft("run", "pairs");
    ASSERT_TRUE(status.ok()) << status;
    ExpectDone(next.ledger.get());
    EXPECT_EQ(cluster.learner.sft_trained, FakeLearner::kSftSteps + 1)
        << "the learner lives: each step is trained once";
  }
  // The last step, StartSft, the record of it, the watch, six commits, the result.
  EXPECT_GE(deaths, 11);
}

INSTANTIATE_TEST_SUITE_P(Driver, KilledOrchestratorSftTest, ::testing::Bool());

TEST_F(SftDriverTest, ALearnerThatIsKilledAtAnyStepIsWaitedForAndStartedAgain) {
  for (int at = 0; at <= FakeLearner::kSftSteps; ++at) {
    SCOPED_TRACE(absl::StrCat("killed at step ", at));
    testing::TempFolder folder;
    FakeCluster cluster(0, 0);
    Life life(&cluster, folder.path());
    std::atomic<bool> killed{false};
    cluster.learner.on_sft_step = [&](int step) {
      if (step == at && !killed.exchange(true)) cluster.learner.Kill();
    };
    std::future<absl::Status> status =
        std::async(std::launch::async, [&] { return life.DriveSft("run", "pairs"); });
    life.observer.WaitForActivity("waiting for the learner: at learner: ");
    cluster.learner.Restart();
    cluster.RegisterAll(&life.registry);
    EXPECT_TRUE(status.get().ok());
    ExpectDone(life.ledger.get());
    EXPECT_EQ(life.observer.steps().size(), FakeLearner::kSftSteps + 1u)
        << "a step that came again was told once";
  }
}

TEST_F(SftDriverTest, ARunThatIsAskedToStopHasStoppedAtTheLearnerAndResumes) {
  {
    Life life(&cluster_, folder_.path());
    cluster_.learner.on_sft_step = [&](int step) {
      if (step == 3) life.stop.request_stop();
    };
    EXPECT_EQ(life.DriveSft("run", "pairs").code(), absl::StatusCode::kCancelled);
    EXPECT_EQ((*life.ledger->LastStep("run"))->step, 2);
    EXPECT_EQ(cluster_.learner.StopSft("run")->state, SftState::kStopped);
    cluster_.learner.on_sft_step = nullptr;
  }
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.DriveSft("run", "pairs").ok());
  ExpectDone(life.ledger.get());
}

TEST_F(SftDriverTest, ARunThatIsStoppedWhileTheLearnerIsAwayIsStopped) {
  Life life(&cluster_, folder_.path());
  cluster_.learner.Kill();
  std::future<absl::Status> status =
      std::async(std::launch::async, [&] { return life.DriveSft("run", "pairs"); });
  life.observer.WaitForActivity("waiting for the learner");
  life.stop.request_stop();
  EXPECT_EQ(status.get().code(), absl::StatusCode::kCancelled);
}

TEST_F(SftDriverTest, ARunWhosePlaceAnotherOrchestratorTookIsStopped) {
  Life life(&cluster_, folder_.path());
  cluster_.learner.on_sft_step = [&](int step) {
    if (step == 2) {
      EXPECT_TRUE(cluster_.learner.StopSft("run").ok());
    }
  };
  const absl::Status status = life.DriveSft("run", "pairs");
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(status.message()), HasSubstr("stopped at the learner"));
}

// A full disk of the learner's, say: the run waits and says why, and goes on from its checkpoint.
TEST_F(SftDriverTest, ARunThatFailedForAReasonThatPassesIsStartedAgain) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnavailable,
        absl::StatusCode::kAborted, absl::StatusCode::kInternal}) {
    SCOPED_TRACE(absl::StatusCodeToString(code));
    testing::TempFolder folder;
    FakeCluster cluster(0, 0);
    std::atomic<int> failures{3};
    cluster.learner.on_sft_step = [&](int step) {
      if (step == 4 && failures-- > 0) cluster.learner.FailSft({code, "the disk is full"});
    };
    Life life(&cluster, folder.path());
    const absl::Status status = life.DriveSft("run", "pairs");
    ASSERT_TRUE(status.ok()) << status;
    ExpectDone(life.ledger.get());
    life.observer.WaitForActivity(
        "training: waiting for the learner: at learner: the disk is full");
  }
}

TEST_F(SftDriverTest, ARunThatFailedForGoodIsFailedWithItsWords) {
  // The second is tried again a few times: it may be of the moment.
  for (const absl::StatusCode code :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kInternal}) {
    SCOPED_TRACE(absl::StatusCodeToString(code));
    testing::TempFolder folder;
    FakeCluster cluster(0, 0);
    cluster.learner.on_sft_step = [&](int step) {
      if (step == 3) cluster.learner.FailSft({code, "the loss is not finite"});
    };
    Life life(&cluster, folder.path());
    EXPECT_EQ(life.DriveSft("run", "pairs").message(), "the loss is not finite");
    EXPECT_EQ((*life.ledger->LastStep("run"))->step, 2);
  }
}

TEST_F(SftDriverTest, ARunThatTheLearnerHasForgottenIsStartedAgainAfterAPause) {
  Life life(&cluster_, folder_.path());
  std::atomic<int> watches{0};
  cluster_.on_call = [&](const std::string& name) -> absl::Status {
    if (name != "sft.Watch" || ++watches > 3) return absl::OkStatus();
    return absl::NotFoundError("run_id run: not in progress here");
  };
  const SteadyTime began = SteadyTime::Now();
  ASSERT_TRUE(life.DriveSft("run", "pairs").ok());
  ExpectDone(life.ledger.get());
  EXPECT_GE(SteadyTime::Now() - began, absl::Milliseconds(100 + 200 + 400));
  life.observer.WaitForActivity("waiting for the learner: at learner: run_id run: not in progress");
}

TEST_F(SftDriverTest, ALearnerThatFollowsAnotherOrchestratorEndsTheRunWithItsWords) {
  Life life(&cluster_, folder_.path());
  std::atomic<int> calls{0};
  cluster_.on_call = [&](const std::string&) -> absl::Status {
    if (calls++ == 0) return absl::OkStatus();
    return absl::FailedPreconditionError("epoch 1: this learner follows another one");
  };
  const absl::Status status = life.DriveSft("run", "pairs");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("this learner follows another one"));
  EXPECT_EQ(calls, 3) << "it was started, watched, and started once more";
}

TEST_F(SftDriverTest, WhatTheLearnerRefusesEndsTheRunWithItsWords) {
  Life life(&cluster_, folder_.path());
  EXPECT_EQ(life.DriveSft("run", "bad"), cluster_.learner.bad_spec);
}

TEST_F(SftDriverTest, AFullDiskIsToldAsItIs) {
  Life life(&cluster_, folder_.path());
  cluster_.learner.on_sft_step = [&](int step) {
    if (step == 2) life.FillDisk(true);
  };
  EXPECT_EQ(life.DriveSft("run", "pairs").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ((*life.ledger->LastStep("run"))->step, 1);
  cluster_.learner.on_sft_step = nullptr;
  life.FillDisk(false);
  ASSERT_TRUE(life.DriveSft("run", "pairs").ok());
  ExpectDone(life.ledger.get());
}

}  // namespace sft_driver_test
}  // namespace mellow::orchestrator
