#include "services/orchestrator/orchestrator_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <future>

#include "common/rpc/server.h"
#include "services/orchestrator/clients/grpc_client.h"
#include "services/orchestrator/run_methods.h"
#include "tests/services/orchestrator/fake_services.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/limited_methods.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/wait_until.h"

namespace mellow::orchestrator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<rpc::Server> Serve(grpc::Service* service, const std::string& name,
                                   obs::Metrics* metrics) {
  auto server = rpc::Server::Start({}, {service}, {name}, metrics);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

// The whole orchestrator, with two policies, a reward node and a learner behind real
// rpcs on free ports.
class OrchestratorServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream file(folder_ / "data.jsonl");
    for (int i = 0; i < 20; ++i) file << R"({"dialogue": "text )" << i << "\"}\n";
    file.close();
    stub_ = v1::OrchestratorService::NewStub(server_->InProcessChannel());
    for (size_t i = 0; i < 2; ++i) {
      policies_.push_back(std::make_unique<FakePolicyService>(nodes_.policies[i].get()));
      node_servers_.push_back(Serve(policies_.back().get(), "policy", &node_metrics_));
      RegisterNode(nodes_.policies[i]->Report());
    }
    node_servers_.push_back(Serve(&reward_, "reward", &node_metrics_));
    RegisterNode(nodes_.rewards[0]->Report());
    auto learner = rpc::Server::Start({}, {&learner_, &sft_}, {"learner"}, &node_metrics_);
    ASSERT_TRUE(learner.ok()) << learner.status();
    node_servers_.push_back(*std::move(learner));
    RegisterNode(nodes_.learner.Report());
  }
  // Registers a node at the newest of the servers.
  void RegisterNode(const NodeReport& report) {
    v1::RegisterNodeRequest request;
    request.set_node_id(report.node_id);
    request.set_role(static_cast<v1::NodeRole>(report.role));
    request.set_address(node_servers_.back()->address());
    request.set_incarnation(report.incarnation);
    request.mutable_capacity()->set_tokens_per_second(100);
    v1::RegisterNodeResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->RegisterNode(&context, request, &response).ok());
    EXPECT_EQ(response.heartbeat_seconds(), 2);
    EXPECT_EQ(response.lost_after_seconds(), 3600);
  }
  v1::StartRunRequest MakeStart(int steps) {
    v1::StartRunRequest request;
    request.set_request_id("request");
    v1::RunSpec* spec = request.mutable_spec();
    spec->set_steps(steps);
    spec->mutable_data()->set_path(folder_ / "data.jsonl");
    spec->mutable_generation()->mutable_sampling()->set_max_new_tokens(6);
    spec->mutable_ppo()->set_batch_size(8);
    spec->mutable_ppo()->set_mini_batch_size(8);
    spec->set_shard_prompts(4);
    return request;
  }
  // Waits for the run's end.
  v1::Run Follow(const std::string& run_id) {
    v1::WatchRunRequest watch;
    watch.set_run_id(run_id);
    grpc::ClientContext context;
    auto follower = stub_->WatchRun(&context, watch);
    v1::WatchRunResponse event;
    while (follower->Read(&event)) {
    }
    EXPECT_TRUE(follower->Finish().ok());
    return event.ended();
  }
  grpc::Status Promote(const std::vector<v1::PromoteAdapterRequest>& messages,
                       v1::PromotionEvent* event) {
    grpc::ClientContext context;
    v1::PromoteAdapterResponse response;
    auto writer = stub_->PromoteAdapter(&context, &response);
    for (const v1::PromoteAdapterRequest& message : messages) writer->Write(message);
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    *event = response.event();
    return status;
  }
  std::string Start(int steps) {
    v1::StartRunResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->StartRun(&context, MakeStart(steps), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.run_id();
  }

  testing::TempFolder folder_;
  FakeCluster nodes_{2, 1};
  obs::Metrics node_metrics_;
  std::vector<std::unique_ptr<FakePolicyService>> policies_;
  FakeRewardService reward_{nodes_.rewards[0].get()};
  FakeLearnerService learner_{&nodes_.learner};
  FakeSftService sft_;
  std::vector<std::unique_ptr<rpc::Server>> node_servers_;

  std::unique_ptr<SqliteLedger> ledger_ = *SqliteLedger::Open(folder_ / "ledger.db");
  obs::Metrics metrics_;
  OrchestratorMetrics orchestrator_metrics_{&metrics_};
  NodeRegistry registry_{absl::Hours(1)};
  std::unique_ptr<NodeClients> clients_ = MakeGrpcNodeClients();
  AdapterStore adapters_{folder_ / "adapters", [](const adapters::PeftFiles& files) {
                           return absl::StatusOr<std::string>(files.safetensors);
                         }};
  FakeTokenizer tokenizer_;
  NodeSupervisor supervisor_{&registry_, clients_.get(), &orchestrator_metrics_,
                             absl::Milliseconds(10)};
  const DriverParts parts_{ledger_.get(), &registry_,         clients_.get(),
                           &supervisor_,  &adapters_,         &orchestrator_metrics_,
                           &tokenizer_,   kDefaultCanaryBound};
  RunManager runs_{parts_, [this](const std::string& spec) { return MethodOfRun(parts_, spec); }};
  ChampionKeeper champions_{parts_};
  AdapterShelf shelf_{parts_};
  OrchestratorServiceImpl service_{&runs_,     &champions_,      &shelf_,
                                   &registry_, absl::Seconds(2), absl::Hours(1)};
  std::unique_ptr<rpc::Server> server_ =
      Serve(&service_, v1::OrchestratorService::service_full_name(), &metrics_);
  std::unique_ptr<v1::OrchestratorService::Stub> stub_;
};

TEST_F(OrchestratorServiceTest, ARunGoesThroughAllServices) {
  const std::string run_id = Start(2);
  EXPECT_EQ(Start(2), run_id) << "the same request_id";
  v1::WatchRunRequest watch;
  watch.set_run_id(run_id);
  grpc::ClientContext context;
  auto reader = stub_->WatchRun(&context, watch);
  v1::WatchRunResponse event;
  std::vector<int> steps;
  v1::Run ended;
  while (reader->Read(&event)) {
    if (event.has_step()) steps.push_back(event.step().step());
    if (event.has_ended()) ended = event.ended();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(steps, ElementsAre(1, 2));
  EXPECT_EQ(ended.state(), v1::RUN_STATE_DONE) << ended.error();
  EXPECT_EQ(ended.committed_steps(), 2);
  EXPECT_EQ(ended.spec().steps(), 2);
  EXPECT_EQ(ended.adapter().sha256(), nodes_.learner.Hashes(run_id).back());
  EXPECT_EQ(policies_[0]->last_lane | policies_[1]->last_lane, policy::v1::LANE_ROLLOUT);

  // A step needs one policy: the other one may get its last adapter a moment later.
  v1::ListNodesResponse nodes;
  EXPECT_TRUE(mellow::testing::WaitUntil([&] {
    grpc::ClientContext list_context;
    return stub_->ListNodes(&list_context, {}, &nodes).ok() && nodes.nodes_size() == 4 &&
           std::all_of(nodes.nodes().begin(), nodes.nodes().end(),
                       [](const v1::Node& node) { return node.state() == v1::NODE_STATE_READY; });
  })) << nodes.DebugString();
  EXPECT_THAT(metrics_.Text(), HasSubstr("mellow_ppo_objective_kl{run=\"" + run_id + "\"} 0.5"));
}

TEST_F(OrchestratorServiceTest, ASupervisedRunIsWatchedLikeAnyOther) {
  v1::StartRunRequest request;
  request.set_request_id("request");
  request.mutable_spec()->mutable_sft()->set_batch_size(0);
  v1::StartRunResponse started;
  grpc::ClientContext bad_context;
  const grpc::Status bad = stub_->StartRun(&bad_context, request, &started);
  EXPECT_EQ(bad.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(bad.error_message(), HasSubstr("batch_size: 0"));
  request.mutable_spec()->mutable_sft()->set_batch_size(2);
  grpc::ClientContext start_context;
  const grpc::Status status = stub_->StartRun(&start_context, request, &started);
  ASSERT_TRUE(status.ok()) << status.error_message();

  v1::WatchRunRequest watch;
  watch.set_run_id(started.run_id());
  watch.set_after_step(-1);
  grpc::ClientContext context;
  const auto reader = stub_->WatchRun(&context, watch);
  std::vector<double> losses;
  v1::Run ended;
  for (v1::WatchRunResponse event; reader->Read(&event);) {
    if (event.has_step()) losses.push_back(event.step().sft().loss());
    if (event.has_ended()) ended = event.ended();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(losses, ElementsAre(0, 0.5, 0.25));
  EXPECT_EQ(ended.state(), v1::RUN_STATE_DONE) << ended.error();
  EXPECT_EQ(ended.committed_steps(), 2);
  EXPECT_EQ(ended.total_steps(), 2);
  EXPECT_EQ(ended.adapter_path(), "/ckpt/" + started.run_id() + "/adapter");
  EXPECT_EQ(ended.sft().adapter_sha256(), "ab");
  EXPECT_EQ(MethodOfRun(parts_, "\xff").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(OrchestratorServiceTest, AnAdapterIsPromotedByVersionOrByBytesAndRolledBack) {
  const std::string run_id = Start(2);
  EXPECT_EQ(Follow(run_id).state(), v1::RUN_STATE_DONE);
  v1::PromoteAdapterRequest by_version;
  by_version.mutable_order()->set_request_id("1");
  by_version.mutable_order()->mutable_adapter()->set_version(2);
  by_version.mutable_order()->mutable_evidence()->set_reason("better");
  v1::PromotionEvent event;
  grpc::Status status = Promote({by_version}, &event);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(event.run_id(), run_id);
  EXPECT_EQ(nodes_.policies[0]->champion().sha256, nodes_.learner.Hashes(run_id).back());

  v1::PromoteAdapterRequest order;
  order.mutable_order()->set_request_id("2");
  order.mutable_order()->mutable_adapter()->set_sha256("bytes");
  std::vector<v1::PromoteAdapterRequest> messages = {order};
  common::v1::AdapterRef ref;
  ref.set_sha256("bytes");
  ASSERT_TRUE(wire::SendAdapter(ref, {"{}", "bytes"}, [&](const common::v1::AdapterChunk& chunk) {
                *messages.emplace_back().mutable_chunk() = chunk;
                return true;
              }).ok());
  status = Promote(messages, &event);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(nodes_.policies[1]->champion().sha256, "bytes");
  EXPECT_EQ(event.previous().version(), 2);

  messages.push_back(order);
  messages[0].mutable_order()->set_request_id("3");
  EXPECT_EQ(Promote(messages, &event).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  messages.erase(messages.begin());
  EXPECT_EQ(Promote(messages, &event).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  messages.back().mutable_order()->mutable_adapter()->set_sha256("others");
  messages.insert(messages.begin(), messages.back());
  messages.pop_back();
  messages[0].mutable_order()->set_request_id("4");
  EXPECT_EQ(Promote(messages, &event).error_code(), grpc::StatusCode::INVALID_ARGUMENT);

  v1::RollBackChampionRequest back;
  back.set_request_id("5");
  v1::RollBackChampionResponse rolled_back;
  grpc::ClientContext back_context;
  ASSERT_TRUE(stub_->RollBackChampion(&back_context, back, &rolled_back).ok());
  EXPECT_EQ(rolled_back.event().champion().version(), 2);
  v1::ListPromotionsResponse list;
  grpc::ClientContext list_context;
  ASSERT_TRUE(stub_->ListPromotions(&list_context, {}, &list).ok());
  ASSERT_EQ(list.events_size(), 3);
  EXPECT_EQ(list.events(0).evidence().reason(), "better");
  EXPECT_EQ(list.champion().version(), 2);
}

TEST_F(OrchestratorServiceTest, ErrorsComeWithTheirCodesAndFields) {
  v1::StartRunRequest request = MakeStart(0);
  v1::StartRunResponse response;
  grpc::ClientContext first;
  grpc::Status status = stub_->StartRun(&first, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("steps: 0"));

  request = MakeStart(1);
  request.mutable_spec()->mutable_reward()->set_label("kind");
  grpc::ClientContext second;
  status = stub_->StartRun(&second, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("reward.label: kind: the reward node has nothate"));

  v1::GetRunResponse run;
  grpc::ClientContext third;
  EXPECT_EQ(stub_->GetRun(&third, {}, &run).error_code(), grpc::StatusCode::NOT_FOUND);

  v1::WatchRunRequest watch;
  watch.set_after_step(-2);
  grpc::ClientContext fourth;
  EXPECT_EQ(stub_->WatchRun(&fourth, watch)->Finish().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  v1::RegisterNodeRequest node;
  v1::RegisterNodeResponse registered;
  grpc::ClientContext fifth;
  status = stub_->RegisterNode(&fifth, node, &registered);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("node_id"));
}

TEST_F(OrchestratorServiceTest, AWatcherThatCancelsIsLetGoAndStopAndResumeWork) {
  std::promise<void> reached;
  std::promise<void> go;
  nodes_.learner.on_train = [&](const TrainCall& call) {
    if (call.step != 1) return;
    reached.set_value();
    go.get_future().wait();
  };
  const std::string run_id = Start(2);
  reached.get_future().wait();
  v1::WatchRunRequest watch;
  watch.set_run_id(run_id);
  grpc::ClientContext context;
  auto reader = stub_->WatchRun(&context, watch);
  v1::WatchRunResponse event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_TRUE(event.has_activity());
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);

  v1::StopRunRequest stop;
  stop.set_run_id(run_id);
  v1::StopRunResponse stopped;
  grpc::ClientContext stop_context;
  ASSERT_TRUE(stub_->StopRun(&stop_context, stop, &stopped).ok());
  go.set_value();
  EXPECT_EQ(Follow(run_id).state(), v1::RUN_STATE_STOPPED);
  nodes_.learner.on_train = nullptr;
  v1::ResumeRunRequest resume;
  resume.set_run_id(run_id);
  v1::ResumeRunResponse resumed;
  grpc::ClientContext resume_context;
  ASSERT_TRUE(stub_->ResumeRun(&resume_context, resume, &resumed).ok());
  EXPECT_EQ(Follow(run_id).state(), v1::RUN_STATE_DONE);
  v1::ListRunsResponse list;
  grpc::ClientContext list_context;
  ASSERT_TRUE(stub_->ListRuns(&list_context, {}, &list).ok());
  ASSERT_EQ(list.runs_size(), 1);
  EXPECT_EQ(list.runs(0).run_id(), run_id);
  EXPECT_TRUE(list.runs(0).has_start_adapter_ref());
}

TEST_F(OrchestratorServiceTest, EveryMethodCountsAgainstTheLimitsOfItsClient) {
  const auto make = [&](rpc::CallLimiter* limiter) {
    return std::make_unique<OrchestratorServiceImpl>(&runs_, &champions_, &shelf_, &registry_,
                                                     absl::Seconds(2), absl::Hours(1), limiter);
  };
  EXPECT_THAT(
      mellow::testing::MethodsWithoutLimits(make, v1::OrchestratorService::service_full_name()),
      ::testing::IsEmpty());
}

}  // namespace
}  // namespace mellow::orchestrator
