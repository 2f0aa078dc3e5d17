#include "common/nn/generation/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/fake_seq2seq_model.h"

namespace mellow::nn {
namespace generate_test {

using mellow::testing::FakeSeq2SeqModel;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// FakeSeq2SeqModel counts from the first source id up to the second, then says </s> (1).
TEST(GenerateTest, ItemsComeBackInOrderAndLeaveTheBatchWhenDone) {
  FakeSeq2SeqModel model;
  const std::vector<GenerateItem> items = {
      {.source_ids = {10, 14}},
      {.source_ids = {20, 21}},
      {.source_ids = {30, 60}, .params = {.max_new_tokens = 3}}};
  const auto sequences = Generate(model, items);
  ASSERT_TRUE(sequences.ok()) << sequences.status();
  ASSERT_EQ(sequences->size(), 3u);
  EXPECT_THAT((*sequences)[0].ids, ElementsAre(10, 11, 12, 13, 1));
  EXPECT_THAT((*sequences)[1].ids, ElementsAre(20, 1));
  EXPECT_THAT((*sequences)[2].ids, ElementsAre(30, 31, 32));
  EXPECT_EQ((*sequences)[0].finish, FinishReason::kEos);
  EXPECT_EQ((*sequences)[2].finish, FinishReason::kLength);
  EXPECT_THAT(model.rows_of_steps(), ElementsAre(3, 3, 2, 1, 1));
}

TEST(GenerateTest, BatchMatesDoNotChangeASample) {
  FakeSeq2SeqModel model;
  std::vector<GenerateItem> items;
  for (int i = 0; i < 5; ++i) {
    GenerateItem item = {.source_ids = {10 + i},
                         .stream = {.prompt_index = static_cast<uint64_t>(i)}};
    item.params = {.do_sample = true, .temperature = 20, .max_new_tokens = 8 + i, .seed = 3};
    items.push_back(item);
  }
  const auto together = Generate(model, items);
  ASSERT_TRUE(together.ok()) << together.status();
  for (size_t i = 0; i < items.size(); ++i) {
    const auto alone = Generate(model, absl::MakeConstSpan(items).subspan(i, 1));
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_EQ((*alone)[0].ids, (*together)[i].ids);
    EXPECT_EQ((*alone)[0].logprobs, (*together)[i].logprobs);
  }
}

TEST(GenerateTest, SearchesAndSamplesShareABatch) {
  FakeSeq2SeqModel model;
  const std::vector<GenerateItem> items = {
      {.source_ids = {10, 12}, .params = {.num_beams = 2, .max_new_tokens = 6}},
      {.source_ids = {20, 23}}};
  const auto sequences = Generate(model, items);
  ASSERT_TRUE(sequences.ok()) << sequences.status();
  EXPECT_THAT((*sequences)[0].ids, ElementsAre(10, 11, 1));
  EXPECT_THAT((*sequences)[1].ids, ElementsAre(20, 21, 22, 1));
  EXPECT_EQ(model.rows_of_steps()[1], 3);
}

TEST(GenerateTest, NothingToDoIsFine) {
  FakeSeq2SeqModel model;
  const auto sequences = Generate(model, {});
  ASSERT_TRUE(sequences.ok()) << sequences.status();
  EXPECT_THAT(*sequences, IsEmpty());
}

TEST(GenerateTest, ABadItemIsNamedBeforeAnythingRuns) {
  FakeSeq2SeqModel model;
  const std::vector<GenerateItem> items = {{.source_ids = {10}},
                                           {.source_ids = {10}, .params = {.temperature = -1}}};
  const auto sequences = Generate(model, items);
  EXPECT_EQ(sequences.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(sequences.status().message()),
              AllOf(HasSubstr("item 1"), HasSubstr("temperature")));
  EXPECT_THAT(model.encoded(), IsEmpty());
}

TEST(GenerateTest, AFailingModelEndsIt) {
  FakeSeq2SeqModel model;
  model.FailWith(absl::ResourceExhaustedError("no memory"));
  const std::vector<GenerateItem> items = {{.source_ids = {10}}};
  EXPECT_EQ(Generate(model, items).status(), absl::ResourceExhaustedError("no memory"));
}

TEST(StepTogetherTest, FinishedDecodersAreLeftOut) {
  FakeSeq2SeqModel model;
  const std::vector<int32_t> a = {10, 11};
  const std::vector<int32_t> b = {20, 25};
  const std::vector<EncodeRequest> requests = {{.source_ids = a}, {.source_ids = b}};
  auto rows = model.Encode(requests);
  ASSERT_TRUE(rows.ok()) << rows.status();
  const auto first = MakeSequenceDecoder(model.config(), {}, {}, a, std::move((*rows)[0]));
  const auto second = MakeSequenceDecoder(model.config(), {}, {}, b, std::move((*rows)[1]));
  const std::vector<SequenceDecoder*> decoders = {first.get(), second.get()};
  std::vector<float> logits;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(StepTogether(model, decoders, &logits).ok());
  EXPECT_THAT(first->sequence().ids, ElementsAre(10, 1));
  EXPECT_THAT(second->sequence().ids, ElementsAre(20, 21, 22, 23));
  EXPECT_THAT(model.rows_of_steps(), ElementsAre(2, 2, 1, 1));
}

}  // namespace generate_test
}  // namespace mellow::nn
