#include "services/policy/adapter_exchange.h"

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/services/policy/policy_service_fixture.h"

namespace mellow::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(PolicyServiceTest, PublishedAdapterIsServedAndOlderOnesAreRefused) {
  ASSERT_TRUE(Publish(3, MakeLora(1)).ok());
  ASSERT_TRUE(Publish(3, MakeLora(1)).ok()) << "the same again is harmless";
  EXPECT_EQ(Publish(3, MakeLora(2)).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Publish(2, MakeLora(2)).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Publish(0, MakeLora(2)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(MakeRequest("5 8"), &response).ok());
  EXPECT_EQ(response.adapter().version(), 3);
  EXPECT_EQ(response.adapter().sha256(), adapters::ContentHash(MakeLora(1)));
}

class PolicyPeersTest : public PolicyServiceTest {
 protected:
  void SetUp() override {
    PolicyServiceTest::SetUp();
    auto server = rpc::Server::Start({}, {&other_service_},
                                     {v1::PolicyService::service_full_name()}, &other_metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    other_server_ = *std::move(server);
    other_ = v1::PolicyService::NewStub(other_server_->InProcessChannel());
  }
  // Has the other node get the version from the first one.
  grpc::Status Fetch(int64_t version, const nn::LoraWeights& lora,
                     wire::Publication as = wire::Publication::kNewest) {
    common::v1::AdapterRef ref;
    ref.set_version(version);
    ref.set_sha256(adapters::ContentHash(lora));
    grpc::ClientContext context;
    v1::PublishAdapterResponse response;
    auto writer = other_->PublishAdapter(&context, &response);
    (void)wire::SendAdapter(
        ref, {}, [&](const common::v1::AdapterChunk& chunk) { return writer->Write(chunk); }, as,
        server_->address());
    writer->WritesDone();
    return writer->Finish();
  }

  obs::Metrics other_metrics_;
  AdapterTable other_adapters_{2};
  PolicyEngine other_engine_{&model_, {}, &other_metrics_};
  PolicyServiceImpl other_service_{options_,       "cpu",          &model_,
                                   &model_hash_,   &tokenizer_,    &other_adapters_,
                                   &other_engine_, &other_metrics_};
  std::unique_ptr<rpc::Server> other_server_;
  std::unique_ptr<v1::PolicyService::Stub> other_;
};

TEST_F(PolicyPeersTest, ANodeGetsAnAdapterFromAnotherOne) {
  ASSERT_TRUE(Publish(3, MakeLora(1)).ok());
  const grpc::Status fetched = Fetch(3, MakeLora(1));
  ASSERT_TRUE(fetched.ok()) << fetched.error_message();
  EXPECT_EQ(other_adapters_.Newest()->sha256, adapters::ContentHash(MakeLora(1)));
  ASSERT_TRUE(Fetch(3, MakeLora(1), wire::Publication::kChampion).ok());
  EXPECT_EQ(other_adapters_.Champion()->version, 3) << "what it is published as, the caller says";
}

TEST_F(PolicyPeersTest, WhatTheOtherNodeHasNotIsRefusedWithItsReason) {
  const grpc::Status unknown = Fetch(3, MakeLora(1));
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.error_message(), ::testing::HasSubstr(server_->address()));
  // The newest two are kept for others.
  for (int version = 1; version <= 3; ++version)
    ASSERT_TRUE(Publish(version, MakeLora(static_cast<float>(version))).ok());
  EXPECT_EQ(Fetch(1, MakeLora(1)).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Fetch(2, MakeLora(2)).ok());
  EXPECT_EQ(Fetch(3, MakeLora(9)).error_code(), grpc::StatusCode::NOT_FOUND) << "another hash";
  EXPECT_EQ(other_adapters_.Newest()->version, 2);
}

TEST_F(PolicyPeersTest, ANodeThatIsNotThereIsUnavailable) {
  ASSERT_TRUE(Publish(3, MakeLora(1)).ok());
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(Fetch(3, MakeLora(1)).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(other_adapters_.Newest()->version, 0);
}

TEST_F(PolicyServiceTest, TheTableKeepsTheNewestAndTheBase) {
  for (int version = 1; version <= 4; ++version)
    ASSERT_TRUE(Publish(version, MakeLora(version)).ok());
  int64_t champion = 0;
  EXPECT_THAT(Listed(&champion), ElementsAre(0, 3, 4));
  EXPECT_EQ(champion, -1);
}

TEST_F(PolicyServiceTest, UsersGetTheChampionAndRolloutsTheNewest) {
  ASSERT_TRUE(Publish(3, MakeLora(3)).ok());
  EXPECT_EQ(ServedToUsers(), 0) << "the base model while there is no champion";
  ASSERT_TRUE(PublishChampion(1, MakeLora(1)).ok()) << "older than the newest, and taken";
  for (int version = 4; version <= 6; ++version)
    ASSERT_TRUE(Publish(version, MakeLora(version)).ok());
  EXPECT_EQ(ServedToUsers(), 1) << "it outlives newer versions";
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(MakeRequest("5 8"), &response).ok());
  EXPECT_EQ(response.adapter().version(), 6);
  v1::GenerateRequest request = MakeRequest("5 8");
  request.set_adapter_version(1);
  EXPECT_TRUE(Generate(request, &response).ok());
  int64_t champion = 0;
  EXPECT_THAT(Listed(&champion), ElementsAre(0, 1, 5, 6));
  EXPECT_EQ(champion, 1);
}

TEST_F(PolicyServiceTest, AChampionIsReplacedAndCleared) {
  ASSERT_TRUE(PublishChampion(1, MakeLora(1)).ok());
  EXPECT_EQ(PublishChampion(1, MakeLora(2)).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  ASSERT_TRUE(Publish(2, MakeLora(2)).ok());
  ASSERT_TRUE(PublishChampion(2, MakeLora(2)).ok()) << "the newest may be the champion";
  int64_t champion = 0;
  EXPECT_THAT(Listed(&champion), ElementsAre(0, 2)) << "the old one is gone";
  EXPECT_EQ(champion, 2);
  EXPECT_THAT(metrics_.Text(), HasSubstr("mellow_policy_champion_info{"));
  grpc::ClientContext context;
  v1::PublishAdapterResponse response;
  auto writer = stub_->PublishAdapter(&context, &response);
  ASSERT_TRUE(wire::SendAdapter(
                  common::v1::AdapterRef(), adapters::PeftFiles(),
                  [&](const common::v1::AdapterChunk& chunk) { return writer->Write(chunk); },
                  wire::Publication::kChampion)
                  .ok());
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_THAT(Listed(&champion), ElementsAre(0, 2));
  EXPECT_EQ(champion, -1);
}

TEST_F(PolicyServiceTest, DamagedAdapterStreamLeavesNothingBehind) {
  const auto flip = [](common::v1::AdapterChunk* chunk) {
    if (!chunk->data().empty()) chunk->mutable_data()->back() ^= 1;
  };
  EXPECT_EQ(Publish(1, MakeLora(1), flip).error_code(), grpc::StatusCode::DATA_LOSS);
  const auto cut = [](common::v1::AdapterChunk* chunk) {
    if (!chunk->data().empty()) chunk->mutable_data()->pop_back();
  };
  EXPECT_EQ(Publish(1, MakeLora(1), cut).error_code(), grpc::StatusCode::DATA_LOSS);
  const auto lie = [](common::v1::AdapterChunk* chunk) {
    if (chunk->has_header()) chunk->mutable_header()->mutable_adapter()->set_sha256("00");
  };
  EXPECT_EQ(Publish(1, MakeLora(1), lie).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(adapters_.Newest()->version, 0);
}

TEST_F(PolicyServiceTest, ANodeWithoutAnAdapterSaysVersion0) {
  EXPECT_THAT(metrics_.Text(), HasSubstr("mellow_policy_adapter_version 0\n"));
}

TEST_F(PolicyServiceTest, ACandidateAnswersByItsVersionAndIsServedToNobody) {
  const auto publish = [&](int64_t version) {
    return Publish(version, MakeLora(version), nullptr, wire::Publication::kCandidate);
  };
  const auto generate = [&](int64_t version) {
    v1::GenerateRequest request = MakeRequest("5 8");
    request.set_adapter_version(version);
    v1::GenerateResponse response;
    return Generate(request, &response).ok() ? response.adapter().version() : -1;
  };
  ASSERT_TRUE(Publish(3, MakeLora(3)).ok());
  ASSERT_TRUE(publish(7).ok());
  EXPECT_EQ(generate(7), 7);
  EXPECT_EQ(ServedToUsers(), 0) << "the base model, until somebody promotes";
  int64_t champion = 0;
  EXPECT_THAT(Listed(&champion), ElementsAre(0, 3)) << "it may be gone at any time";
  for (const int64_t version : {8, 10, 11}) ASSERT_TRUE(publish(version).ok());
  ASSERT_TRUE(publish(7).ok()) << "again, so that it is not the next to go";
  ASSERT_TRUE(publish(12).ok());
  EXPECT_EQ(generate(7), 7);
  EXPECT_EQ(generate(8), -1) << "a few are kept";
  ASSERT_TRUE(publish(8).ok());
  ASSERT_TRUE(PublishChampion(8, MakeLora(8)).ok());
  EXPECT_EQ(ServedToUsers(), 8);
  ASSERT_TRUE(publish(9).ok());
  EXPECT_EQ(ServedToUsers(), 8);
  EXPECT_EQ(generate(8), 8) << "the champion stays";
  ASSERT_TRUE(publish(1).ok()) << "older than the newest";
  EXPECT_EQ(publish(0).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Publish(
                9, MakeLora(9),
                [](common::v1::AdapterChunk* chunk) {
                  if (chunk->has_header()) chunk->mutable_header()->set_champion(true);
                },
                wire::Publication::kCandidate)
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "champion and candidate";
}

TEST_F(PolicyServiceTest, AReferenceIsKeptBesideNewerVersionsAndServedToNobody) {
  const auto score = [&](int64_t version) {
    v1::ScoreTokensRequest request;
    request.add_pairs()->add_source_ids(5);
    request.mutable_pairs(0)->add_target_ids(6);
    request.set_adapter_version(version);
    v1::ScoreTokensResponse response;
    grpc::ClientContext context;
    return stub_->ScoreTokens(&context, request, &response).ok() ? response.adapter().version()
                                                                 : -1;
  };
  const auto publish = [&](int64_t version) {
    return Publish(version, MakeLora(version), nullptr, wire::Publication::kReference);
  };
  ASSERT_TRUE(Publish(3, MakeLora(3)).ok());
  ASSERT_TRUE(publish(3).ok()) << "what is there already";
  for (int version = 4; version <= 6; ++version)
    ASSERT_TRUE(Publish(version, MakeLora(version)).ok());
  EXPECT_EQ(score(3), 3);
  EXPECT_EQ(score(4), -1);
  ASSERT_TRUE(publish(1).ok()) << "older than the newest";
  EXPECT_EQ(score(1), 1);
  EXPECT_EQ(score(3), -1) << "one reference is kept";
  EXPECT_EQ(ServedToUsers(), 0);
  int64_t champion = 0;
  EXPECT_THAT(Listed(&champion), ElementsAre(0, 5, 6));
  EXPECT_EQ(Publish(1, MakeLora(2), nullptr, wire::Publication::kReference).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
}

}  // namespace
}  // namespace mellow::policy
