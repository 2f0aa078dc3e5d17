#include "services/cli/train/run_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "common/rpc/server.h"
#include "mellow/orchestrator/v1/orchestrator.grpc.pb.h"
#include "services/cli/cluster/cluster_file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

// Has one run, which is done, and no room for the first watchers.
class FullOrchestrator : public v1::OrchestratorService::Service {
 public:
  static v1::Run DoneRun() {
    v1::Run run;
    run.set_run_id("run");
    run.set_state(v1::RUN_STATE_DONE);
    run.set_total_steps(1);
    run.set_committed_steps(1);
    return run;
  }

  grpc::Status GetRun(grpc::ServerContext*, const v1::GetRunRequest*,
                      v1::GetRunResponse* response) override {
    *response->mutable_run() = DoneRun();
    return grpc::Status::OK;
  }
  grpc::Status WatchRun(grpc::ServerContext*, const v1::WatchRunRequest*,
                        grpc::ServerWriter<v1::WatchRunResponse>* writer) override {
    if (watches++ < kRefused)
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "16 streams are watched already");
    v1::WatchRunResponse event;
    *event.mutable_ended() = DoneRun();
    writer->Write(event);
    return grpc::Status::OK;
  }

  static constexpr int kRefused = 3;
  std::atomic<int> watches = 0;
};

class ListeningView : public TrainView {
 public:
  explicit ListeningView(std::vector<std::string>* said) : said_(said) {}
  void ShowData(const std::string&) override {}
  void ShowStart(const v1::Run&) override {}
  void ShowStep(const v1::Step&) override {}
  void ShowActivity(const std::string& activity) override { said_->push_back(activity); }
  void ShowDone(const v1::Run&) override { said_->push_back("done"); }

 private:
  std::vector<std::string>* const said_;
};

TEST(RunFollowerTest, WhoFindsNoRoomToWatchARunThatIsOverWaitsBetweenItsTries) {
  FullOrchestrator service;
  obs::Metrics metrics;
  auto server =
      rpc::Server::Start({}, {&service}, {v1::OrchestratorService::service_full_name()}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const testing::TempFolder folder;
  ClusterFile cluster;
  cluster.services.push_back(
      {.name = "orchestrator", .role = "orchestrator", .address = (*server)->address()});
  ASSERT_TRUE(WriteClusterFile(folder.path(), cluster).ok());

  std::vector<std::string> said;
  RunFollower follower(folder.path(), folder.path());
  follower.set_view(std::make_unique<ListeningView>(&said));
  const SteadyTime begin = SteadyTime::Now();
  const auto code = follower.Follow(FullOrchestrator::DoneRun(), 0, {});
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
  EXPECT_EQ(service.watches, FullOrchestrator::kRefused + 1);
  const std::string waits = "waiting for the orchestrator";
  EXPECT_THAT(said, ::testing::ElementsAre(waits, waits, waits, "", "done"));
  EXPECT_GE(SteadyTime::Now() - begin, absl::Milliseconds(800)) << "three pauses";
}

}  // namespace
}  // namespace mellow::cli
