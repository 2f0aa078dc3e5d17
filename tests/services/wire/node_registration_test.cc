#include "services/wire/node_registration.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/base/steady_time.h"
#include "common/rpc/server.h"
#include "mellow/orchestrator/v1/orchestrator.grpc.pb.h"

namespace mellow::wire {
namespace {

namespace v1 = orchestrator::v1;

class RecordingOrchestrator : public v1::OrchestratorService::Service {
 public:
  grpc::Status RegisterNode(grpc::ServerContext*, const v1::RegisterNodeRequest* request,
                            v1::RegisterNodeResponse* response) override {
    response->set_heartbeat_seconds(3600);
    {
      MutexLock lock(&mutex_);
      requests_.push_back(*request);
    }
    changed_.NotifyAll();
    return grpc::Status::OK;
  }

  std::vector<v1::RegisterNodeRequest> WaitFor(size_t count) {
    const SteadyTime deadline = SteadyTime::Now() + absl::Seconds(30);
    MutexLock lock(&mutex_);
    while (requests_.size() < count && changed_.WaitUntil(&mutex_, deadline)) {
    }
    return requests_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<v1::RegisterNodeRequest> requests_ ABSL_GUARDED_BY(mutex_);
};

v1::RegisterNodeRequest Describe() {
  v1::RegisterNodeRequest request;
  request.set_role(v1::NODE_ROLE_REWARD);
  request.set_address("r:1");
  return request;
}

TEST(NodeRegistrationTest, AProcessThatEndsSaysGoodbye) {
  RecordingOrchestrator orchestrator;
  obs::Metrics metrics;
  auto server = rpc::Server::Start({}, {&orchestrator}, {}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  auto registration = NodeRegistration::Start((*server)->address(), "reward-0", Describe);
  ASSERT_EQ(orchestrator.WaitFor(1).size(), 1u);
  registration.reset();
  const auto requests = orchestrator.WaitFor(2);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_FALSE(requests[0].leaving());
  EXPECT_TRUE(requests[1].leaving());
  EXPECT_EQ(requests[1].node_id(), "reward-0");
  EXPECT_EQ(requests[1].incarnation(), requests[0].incarnation());
}

TEST(NodeRegistrationTest, NobodyIsToldWhereNobodyListened) {
  std::string address;
  {
    obs::Metrics metrics;
    auto server = rpc::Server::Start({}, {}, {}, &metrics);
    ASSERT_TRUE(server.ok()) << server.status();
    address = (*server)->address();
  }
  NodeRegistration::Start(address, "reward-0", Describe).reset();
}

}  // namespace
}  // namespace mellow::wire
