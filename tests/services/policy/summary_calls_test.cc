#include "services/policy/summary_calls.h"

#include "gmock/gmock.h"
#include "tests/services/policy/policy_service_fixture.h"

namespace mellow::policy {
namespace {

TEST_F(PolicyServiceTest, SummarizeStreamSendsTheSummaryPieceByPiece) {
  ASSERT_TRUE(PublishChampion(1, MakeLora(1)).ok());
  v1::SummarizeRequest request;
  request.set_dialogue("5 8 2 2 2 2 2 2 2 2 2 2 2");
  v1::SummarizeResponse whole;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Summarize(&context, request, &whole).ok());
  EXPECT_EQ(whole.adapter().version(), 1);

  grpc::ClientContext stream;
  auto reader = stub_->SummarizeStream(&stream, request);
  v1::SummarizeStreamResponse part;
  std::string text;
  int results = 0;
  while (reader->Read(&part)) {
    EXPECT_EQ(results, 0) << "nothing comes behind the result";
    text += part.text();
    results += part.has_result() ? 1 : 0;
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(results, 1);
  EXPECT_EQ(text, whole.summary());
  EXPECT_EQ(part.result().SerializeAsString(), whole.SerializeAsString());

  request.set_adapter_version(9);
  grpc::ClientContext unknown;
  EXPECT_EQ(stub_->SummarizeStream(&unknown, request)->Finish().error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(PolicyServiceTest, SummarizeTruncatesALongDialogueInsteadOfRefusingIt) {
  v1::SummarizeRequest request;
  request.set_dialogue("5 8 2 2 2 2 2 2 2 2 2 2 2");
  v1::SummarizeResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Summarize(&context, request, &response).ok());
  EXPECT_EQ(response.summary(), "5 6 7 1");
  EXPECT_EQ(response.prompt_tokens(), 8);
  EXPECT_EQ(response.uncut_prompt_tokens(), 13);
  EXPECT_TRUE(response.truncated());
  request.set_dialogue("5 8");
  grpc::ClientContext second;
  ASSERT_TRUE(stub_->Summarize(&second, request, &response).ok());
  EXPECT_EQ(response.prompt_tokens(), response.uncut_prompt_tokens());
  EXPECT_FALSE(response.truncated());
}

}  // namespace
}  // namespace mellow::policy
