#include "services/learner/rpc/sft_service.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/rpc/server.h"
#include "tests/services/learner/sft_fixture.h"
#include "tests/testing/file_size_limit.h"
#include "tests/testing/limited_methods.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

// One life of a learner process: everything but what is on the disk ends with it.
class Life {
 public:
  // `pause`: as SftRunner's.
  explicit Life(const std::string& folder, absl::Duration pause = absl::Milliseconds(1))
      : runner_({kSftModel, folder, /*keep_checkpoints=*/2, {.threads = 1}}, &turns_, &metrics_,
                pause),
        owner_(folder),
        service_(&runner_, &owner_) {
    auto server =
        rpc::Server::Start({}, {&service_}, {v1::SftService::service_full_name()}, &metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::SftService::NewStub(server_->InProcessChannel());
  }

  grpc::Status Check(const v1::SftSpec& spec) {
    v1::CheckSftRequest request;
    *request.mutable_spec() = spec;
    v1::CheckSftResponse response;
    grpc::ClientContext context;
    return stub_->CheckSft(&context, request, &response);
  }

  // What the calls after it have as their owner's epoch.
  void Follow(int64_t epoch) { epoch_ = epoch; }

  // As `owner`, with the epoch of Follow; *epoch: what it has from now on.
  grpc::Status StartAs(const std::string& owner, const std::string& run_id, const v1::SftSpec& spec,
                       int64_t* epoch) {
    v1::StartSftRequest request;
    request.set_run_id(run_id);
    *request.mutable_spec() = spec;
    request.set_owner(owner);
    request.set_owner_epoch(epoch_);
    v1::StartSftResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->StartSft(&context, request, &response);
    *epoch = response.owner_epoch();
    return status;
  }

  grpc::Status Start(const std::string& run_id, const v1::SftSpec& spec, v1::SftRun* run) {
    v1::StartSftRequest request;
    request.set_run_id(run_id);
    *request.mutable_spec() = spec;
    v1::StartSftResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->StartSft(&context, request, &response);
    *run = response.run();
    return status;
  }

  // Steps after `after`, until the run ends or `most` have come; how it ended in *run.
  grpc::Status Watch(const std::string& run_id, int after, size_t most,
                     std::vector<v1::SftStep>* steps, v1::SftRun* run,
                     const std::function<void(const std::string&)>& on_activity = {}) {
    v1::WatchSftRequest request;
    request.set_run_id(run_id);
    request.set_after_step(after);
    request.set_owner_epoch(epoch_);
    grpc::ClientContext context;
    const auto reader = stub_->WatchSft(&context, request);
    v1::WatchSftResponse event;
    while (reader->Read(&event)) {
      if (event.has_step()) steps->push_back(event.step());
      if (event.has_ended()) *run = event.ended();
      if (event.has_activity() && on_activity) on_activity(event.activity());
      if (steps->size() >= most) context.TryCancel();
    }
    return reader->Finish();
  }

  grpc::Status Stop(const std::string& run_id, v1::SftRun* run) {
    v1::StopSftRequest request;
    request.set_run_id(run_id);
    request.set_owner_epoch(epoch_);
    v1::StopSftResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->StopSft(&context, request, &response);
    *run = response.run();
    return status;
  }

  SftRunner& runner() { return runner_; }
  OwnerEpoch& owner() { return owner_; }

 private:
  obs::Metrics metrics_;
  ComputeTurns turns_;
  int64_t epoch_ = 0;
  SftRunner runner_;
  OwnerEpoch owner_;
  SftServiceImpl service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::SftService::Stub> stub_;
};

constexpr size_t kAll = 1000;

class SftServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePairs(root_ / "pairs.jsonl");
    spec_.mutable_data()->set_path(root_ / "pairs.jsonl");
    spec_.mutable_data()->set_dev_fraction(0.2);
    spec_.mutable_lora()->set_r(2);
    spec_.mutable_lora()->set_lora_dropout(0.1);
    spec_.mutable_optimizer()->set_learning_rate(5e-3);
    spec_.set_batch_size(2);
    spec_.set_max_steps(6);
    spec_.set_eval_every(3);
    spec_.set_checkpoint_every(2);
  }
  testing::TempFolder root_;
  v1::SftSpec spec_;
};

TEST_F(SftServiceTest, ARunIsWatchedToItsEndAndRepeatingIsHarmless) {
  Life life(root_ / "checkpoints");
  v1::SftRun run;
  const grpc::Status started = life.Start("run", spec_, &run);
  ASSERT_TRUE(started.ok()) << started.error_message();
  EXPECT_EQ(run.total_steps(), 6);
  EXPECT_EQ(run.train_pairs(), 10);
  EXPECT_EQ(run.dev_pairs(), 2);
  EXPECT_GT(run.total_parameters(), run.trainable_parameters());
  ASSERT_TRUE(life.Start("run", spec_, &run).ok()) << "in progress";
  std::vector<v1::SftStep> steps;
  ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &run).ok());
  ASSERT_EQ(steps.size(), 7u);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(steps[static_cast<size_t>(i)].step(), i);
  EXPECT_FALSE(steps[0].has_loss());
  EXPECT_TRUE(steps[0].has_dev_loss());
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE);
  const auto adapter = adapters::ReadPeftFolder(run.adapter_path());
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  EXPECT_EQ(adapters::ContentHash(*adapter), run.adapter_sha256());
  v1::SftRun again;
  ASSERT_TRUE(life.Start("run", spec_, &again).ok()) << "done";
  EXPECT_EQ(again.state(), v1::SFT_STATE_DONE);
  EXPECT_EQ(again.adapter_sha256(), run.adapter_sha256());
  Life next(root_ / "checkpoints");
  ASSERT_TRUE(next.Start("run", spec_, &again).ok()) << "done in an earlier life";
  EXPECT_EQ(again.state(), v1::SFT_STATE_DONE);
  EXPECT_EQ(again.adapter_sha256(), run.adapter_sha256());
  EXPECT_EQ(again.best_dev_loss(), run.best_dev_loss());
}

TEST_F(SftServiceTest, AStoppedRunAndADrainedLearnerGoOnToTheSameAdapter) {
  v1::SftRun whole;
  {
    Life life(root_ / "whole");
    std::vector<v1::SftStep> steps;
    ASSERT_TRUE(life.Start("run", spec_, &whole).ok());
    ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &whole).ok());
  }
  v1::SftRun run;
  std::vector<v1::SftStep> steps;
  {
    Life life(root_ / "parts");
    ASSERT_TRUE(life.Start("run", spec_, &run).ok());
    EXPECT_EQ(life.Watch("run", -1, 2, &steps, &run).error_code(), grpc::StatusCode::CANCELLED);
    ASSERT_TRUE(life.Stop("run", &run).ok());
    EXPECT_TRUE(run.state() == v1::SFT_STATE_STOPPED || run.state() == v1::SFT_STATE_DONE);
    ASSERT_TRUE(life.Start("run", spec_, &run).ok());
    life.runner().Drain();
    const grpc::Status drained = life.Watch("run", 0, kAll, &steps, &run);
    EXPECT_TRUE(drained.error_code() == grpc::StatusCode::UNAVAILABLE ||
                run.state() == v1::SFT_STATE_DONE);
    EXPECT_EQ(life.Start("other", spec_, &run).error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  Life last(root_ / "parts");
  ASSERT_TRUE(last.Start("run", spec_, &run).ok());
  steps.clear();
  ASSERT_TRUE(last.Watch("run", -1, kAll, &steps, &run).ok());
  EXPECT_EQ(steps.size(), 7u) << "every step is on record";
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE);
  EXPECT_EQ(run.adapter_sha256(), whole.adapter_sha256());
}

TEST_F(SftServiceTest, FinishedRunsAreKnownToTheNextLife) {
  v1::SftRun first, second;
  std::vector<v1::SftStep> steps, again;
  {
    Life life(root_ / "checkpoints");
    ASSERT_TRUE(life.Start("first", spec_, &first).ok());
    ASSERT_TRUE(life.Watch("first", -1, kAll, &steps, &first).ok());
    spec_.set_seed(7);
    ASSERT_TRUE(life.Start("second", spec_, &second).ok());
    steps.clear();
    ASSERT_TRUE(life.Watch("second", -1, kAll, &steps, &second).ok());
    v1::SftRun stopped;
    spec_.set_seed(8);
    spec_.set_max_steps(6000);
    ASSERT_TRUE(life.Start("stopped", spec_, &stopped).ok());
    ASSERT_TRUE(life.Stop("stopped", &stopped).ok());
  }
  Life next(root_ / "checkpoints");
  v1::SftRun replayed;
  ASSERT_TRUE(next.Watch("second", -1, kAll, &again, &replayed).ok());
  EXPECT_EQ(replayed.SerializeAsString(), second.SerializeAsString());
  ASSERT_EQ(again.size(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i)
    EXPECT_EQ(again[i].SerializeAsString(), steps[i].SerializeAsString()) << i;
  EXPECT_EQ(next.Watch("stopped", -1, kAll, &again, &replayed).error_code(),
            grpc::StatusCode::NOT_FOUND)
      << "the one that was stopped is not done";
  ASSERT_TRUE(WriteFileAtomic(root_ / "checkpoints/first/finished.json", "{").ok());
  EXPECT_EQ(next.Watch("first", -1, kAll, &again, &replayed).error_code(),
            grpc::StatusCode::DATA_LOSS);
}

TEST_F(SftServiceTest, BadRequestsAreNamed) {
  Life life(root_ / "checkpoints");
  v1::SftRun run;
  std::vector<v1::SftStep> steps;
  EXPECT_EQ(life.Watch("nobody", -1, kAll, &steps, &run).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(life.Watch("../nobody", -1, kAll, &steps, &run).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(life.Watch("nobody", -2, kAll, &steps, &run).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(life.Stop("nobody", &run).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(life.Start("../x", spec_, &run).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::SftSpec bad = spec_;
  bad.mutable_data()->set_summary_column("gist");
  const grpc::Status column = life.Start("run", bad, &run);
  EXPECT_EQ(column.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(column.error_message(), HasSubstr("gist"));
  ASSERT_TRUE(life.Start("run", spec_, &run).ok());
  bad = spec_;
  bad.set_seed(9);
  const grpc::Status other = life.Start("run", bad, &run);
  EXPECT_EQ(other.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(other.error_message(), HasSubstr("other settings"));
  ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &run).ok());
}

TEST_F(SftServiceTest, ACheckSaysWhatStartWouldSayAndLeavesNothing) {
  Life life(root_ / "checkpoints");
  const grpc::Status good = life.Check(spec_);
  EXPECT_TRUE(good.ok()) << good.error_message();
  v1::SftSpec bad = spec_;
  bad.mutable_data()->set_summary_column("gist");
  EXPECT_EQ(life.Check(bad).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(life.Check(bad).error_message(), HasSubstr("gist"));
  bad = spec_;
  bad.set_batch_size(0);
  EXPECT_THAT(life.Check(bad).error_message(), HasSubstr("batch_size: 0"));
  bad = spec_;
  bad.clear_lora();
  bad.set_start_adapter(root_ / "none");
  EXPECT_THAT(life.Check(bad).error_message(), HasSubstr("start_adapter"));
  EXPECT_FALSE(std::filesystem::exists(root_ / "checkpoints"));
}

TEST_F(SftServiceTest, AnotherRunTakesThePlaceOfTheOneInProgressWhichGoesOnLater) {
  Life life(root_ / "checkpoints");
  v1::SftSpec small = spec_;
  spec_.set_max_steps(6000);
  v1::SftRun run;
  std::vector<v1::SftStep> steps;
  ASSERT_TRUE(life.Start("first", spec_, &run).ok());
  EXPECT_EQ(life.Watch("first", -1, 2, &steps, &run).error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(life.Start("second", small, &run).ok());
  ASSERT_TRUE(life.Watch("second", -1, kAll, &steps, &run).ok());
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE);
  ASSERT_TRUE(life.Start("first", spec_, &run).ok());
  EXPECT_GE(run.step(), 1) << "from the checkpoint of its stop";
  ASSERT_TRUE(life.Stop("first", &run).ok());
}

TEST_F(SftServiceTest, ARunWhoseLossIsNotFiniteFailsAndSaysWhy) {
  spec_.mutable_optimizer()->set_learning_rate(9e29);
  spec_.mutable_lora()->set_lora_alpha(1e9);
  spec_.mutable_data()->clear_dev_fraction();
  Life life(root_ / "checkpoints");
  v1::SftRun run;
  std::vector<v1::SftStep> steps;
  ASSERT_TRUE(life.Start("run", spec_, &run).ok());
  ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &run).ok());
  EXPECT_EQ(run.state(), v1::SFT_STATE_FAILED);
  EXPECT_THAT(run.error(), HasSubstr("not finite"));
  EXPECT_EQ(run.status_code(), static_cast<int>(absl::StatusCode::kOutOfRange));
  spec_.mutable_optimizer()->set_learning_rate(1e-3);
  spec_.mutable_lora()->set_lora_alpha(8);
  ASSERT_TRUE(life.Start("another", spec_, &run).ok()) << "the learner is free again";
  ASSERT_TRUE(life.Watch("another", -1, kAll, &steps, &run).ok());
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE);
}

TEST_F(SftServiceTest, AnOlderOrchestratorIsRefusedAndToldOfTheNewerOne) {
  Life life(root_ / "checkpoints");
  int64_t older = 0, newer = 0, again = 0;
  ASSERT_TRUE(life.StartAs("orchestrator A", "run", spec_, &older).ok());
  EXPECT_GT(older, 0);
  life.Follow(older);
  ASSERT_TRUE(life.StartAs("orchestrator A", "run", spec_, &again).ok());
  EXPECT_EQ(again, older);
  life.Follow(0);
  ASSERT_TRUE(life.StartAs("orchestrator B", "run", spec_, &newer).ok());
  EXPECT_GT(newer, older);

  v1::SftRun run;
  std::vector<v1::SftStep> steps;
  life.Follow(older);
  v1::SftSpec other = spec_;
  other.set_seed(9);
  for (const grpc::Status& status :
       {life.StartAs("orchestrator A", "other", other, &again), life.Stop("run", &run),
        life.Watch("run", -1, kAll, &steps, &run)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("orchestrator B"));
  }
  // What PPO's calls got counts here too.
  const auto ppo = life.owner().Claim(0, "orchestrator C");
  ASSERT_TRUE(ppo.ok()) << ppo.status();
  life.Follow(newer);
  EXPECT_EQ(life.Stop("run", &run).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  life.Follow(*ppo);
  ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &run).ok());
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE) << "B's start was not undone by A's";
}

TEST_F(SftServiceTest, ARunThatWouldNotEndIsToldAndNoneIsNot) {
  Life life(root_ / "checkpoints");
  const auto stalled = [&] {
    return life.runner().Stalled(SteadyTime::Now() + absl::Hours(1)) > absl::ZeroDuration();
  };
  EXPECT_FALSE(stalled());
  spec_.set_max_steps(6000);
  v1::SftRun run;
  ASSERT_TRUE(life.Start("run", spec_, &run).ok());
  while (!stalled()) std::this_thread::yield();
  ASSERT_TRUE(life.Stop("run", &run).ok());
  EXPECT_EQ(run.state(), v1::SFT_STATE_STOPPED);
  EXPECT_FALSE(stalled());
}

TEST_F(SftServiceTest, ARunGoesOnByItselfWhenTheDiskIsNoLongerFull) {
  v1::SftRun whole, run;
  std::vector<v1::SftStep> steps;
  {
    Life life(root_ / "whole");
    ASSERT_TRUE(life.Start("run", spec_, &whole).ok());
    ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &whole).ok());
  }
  Life life(root_ / "full");
  auto full = std::make_optional<testing::FileSizeLimit>(512);
  ASSERT_TRUE(life.Start("run", spec_, &run).ok());
  steps.clear();
  int said = 0;
  const grpc::Status watched =
      life.Watch("run", -1, kAll, &steps, &run, [&](const std::string& activity) {
        if (activity.find("trying again") == std::string::npos) return;
        ++said;
        full.reset();
      });
  ASSERT_TRUE(watched.ok()) << watched.error_message();
  EXPECT_GE(said, 1);
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE) << run.error();
  EXPECT_EQ(run.status_code(), 0);
  EXPECT_EQ(run.adapter_sha256(), whole.adapter_sha256());
  EXPECT_EQ(steps.size(), 7u) << "each once";
}

TEST_F(SftServiceTest, ARunThatWaitsForRoomCanBeStoppedAndGoesOnLater) {
  Life life(root_ / "checkpoints", /*pause=*/absl::InfiniteDuration());
  v1::SftRun run;
  std::vector<v1::SftStep> steps;
  {
    const testing::FileSizeLimit full(512);
    ASSERT_TRUE(life.Start("run", spec_, &run).ok());
    ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &run,
                           [&](const std::string& activity) {
                             if (activity.find("trying again") == std::string::npos) return;
                             v1::SftRun stopped;
                             EXPECT_TRUE(life.Stop("run", &stopped).ok());
                             EXPECT_EQ(stopped.state(), v1::SFT_STATE_STOPPED);
                           })
                    .ok());
    EXPECT_EQ(run.state(), v1::SFT_STATE_STOPPED);
  }
  ASSERT_TRUE(life.Start("run", spec_, &run).ok());
  ASSERT_TRUE(life.Watch("run", -1, kAll, &steps, &run).ok());
  EXPECT_EQ(run.state(), v1::SFT_STATE_DONE);
}

TEST_F(SftServiceTest, EveryMethodCountsAgainstTheLimitsOfItsClient) {
  obs::Metrics metrics;
  ComputeTurns turns;
  SftRunner runner({kSftModel, root_.path(), /*keep_checkpoints=*/2, {.threads = 1}}, &turns,
                   &metrics);
  OwnerEpoch owner(root_.path());
  const auto make = [&](rpc::CallLimiter* limiter) {
    return std::make_unique<SftServiceImpl>(&runner, &owner, limiter);
  };
  EXPECT_THAT(mellow::testing::MethodsWithoutLimits(make, v1::SftService::service_full_name()),
              ::testing::IsEmpty());
}

}  // namespace
}  // namespace mellow::learner
