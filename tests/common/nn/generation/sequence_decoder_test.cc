#include "common/nn/generation/sequence_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "common/nn/generation/token_sampler.h"
#include "tests/testing/fake_seq2seq_model.h"

namespace mellow::nn {
namespace sequence_decoder_test {

using mellow::testing::FakeSeq2SeqModel;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kVocab = 8;
constexpr int32_t kEos = 1;

std::unique_ptr<DecodeRow> FreshRow(FakeSeq2SeqModel* model) {
  const std::vector<int32_t> source = {2, 5};
  const std::vector<EncodeRequest> requests = {{.source_ids = source}};
  return std::move((*model->Encode(requests))[0]);
}

// Logits that choose `token` greedily.
std::vector<float> Say(int32_t token) {
  std::vector<float> logits(kVocab, 0.0f);
  logits[static_cast<size_t>(token)] = 3;
  return logits;
}

TEST(SequenceDecoderTest, BeginsWithTheStartTokenAndFeedsWhatItChose) {
  FakeSeq2SeqModel model(kVocab);
  const auto decoder =
      MakeSequenceDecoder(model.config(), {.max_new_tokens = 5}, {}, {}, FreshRow(&model));
  EXPECT_THAT(decoder->tokens(), ElementsAre(model.config().decoder_start_token_id));
  ASSERT_EQ(decoder->rows().size(), 1u);
  ASSERT_TRUE(decoder->Advance(model, Say(4)).ok());
  EXPECT_THAT(decoder->tokens(), ElementsAre(4));
  EXPECT_THAT(decoder->sequence().ids, ElementsAre(4));
  EXPECT_FALSE(decoder->done());
}

TEST(SequenceDecoderTest, EosEndsItAndIsPartOfTheSequence) {
  FakeSeq2SeqModel model(kVocab);
  const auto decoder =
      MakeSequenceDecoder(model.config(), {.max_new_tokens = 5}, {}, {}, FreshRow(&model));
  ASSERT_TRUE(decoder->Advance(model, Say(4)).ok());
  ASSERT_TRUE(decoder->Advance(model, Say(kEos)).ok());
  EXPECT_TRUE(decoder->done());
  EXPECT_THAT(decoder->rows(), IsEmpty());
  EXPECT_THAT(decoder->tokens(), IsEmpty());
  EXPECT_THAT(decoder->sequence().ids, ElementsAre(4, kEos));
  EXPECT_EQ(decoder->sequence().finish, FinishReason::kEos);
  const auto logprob = static_cast<float>(3 - std::log(std::exp(3.0) + kVocab - 1));
  EXPECT_THAT(decoder->sequence().logprobs, ElementsAre(::testing::FloatNear(logprob, 1e-6f),
                                                        ::testing::FloatNear(logprob, 1e-6f)));
}

TEST(SequenceDecoderTest, MaxNewTokensEndIt) {
  FakeSeq2SeqModel model(kVocab);
  const auto decoder =
      MakeSequenceDecoder(model.config(), {.max_new_tokens = 2}, {}, {}, FreshRow(&model));
  ASSERT_TRUE(decoder->Advance(model, Say(3)).ok());
  EXPECT_FALSE(decoder->done());
  ASSERT_TRUE(decoder->Advance(model, Say(3)).ok());
  EXPECT_TRUE(decoder->done());
  EXPECT_EQ(decoder->sequence().finish, FinishReason::kLength);
}

TEST(SequenceDecoderTest, EosAtTheLastTokenCountsAsEos) {
  FakeSeq2SeqModel model(kVocab);
  const auto decoder =
      MakeSequenceDecoder(model.config(), {.max_new_tokens = 1}, {}, {}, FreshRow(&model));
  ASSERT_TRUE(decoder->Advance(model, Say(kEos)).ok());
  EXPECT_EQ(decoder->sequence().finish, FinishReason::kEos);
}

TEST(SequenceDecoderTest, MinNewTokensPutEosOff) {
  FakeSeq2SeqModel model(kVocab);
  const auto decoder = MakeSequenceDecoder(
      model.config(), {.max_new_tokens = 5, .min_new_tokens = 2}, {}, {}, FreshRow(&model));
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(decoder->done());
    ASSERT_TRUE(decoder->Advance(model, Say(kEos)).ok());
  }
  EXPECT_THAT(decoder->sequence().ids, ElementsAre(0, 0, kEos));  // 0: the lowest of the equal rest
  EXPECT_EQ(decoder->sequence().finish, FinishReason::kEos);
}

// The position in the counter is the number of tokens before.
TEST(SequenceDecoderTest, SamplesAtItsStreamTokenByToken) {
  FakeSeq2SeqModel model(kVocab);
  const SamplingParams params{
      .do_sample = true, .max_new_tokens = 12, .min_new_tokens = 12, .seed = 5};
  const RandomStream stream{.prompt_index = 31, .sample_index = 2};
  const auto decoder = MakeSequenceDecoder(model.config(), params, stream, {}, FreshRow(&model));
  std::vector<int32_t> expected;
  for (int i = 0; i < 12; ++i) {
    const std::vector<float> logits = Say(i % kVocab);
    std::vector<float> scores = logits;
    scores[kEos] = -INFINITY;  // min_new_tokens
    expected.push_back(SampleToken(logits, scores, params, i, stream).id);
    ASSERT_TRUE(decoder->Advance(model, logits).ok());
  }
  EXPECT_EQ(decoder->sequence().ids, expected);
}

TEST(SequenceDecoderTest, SeveralBeamsMakeABeamSearch) {
  FakeSeq2SeqModel model(kVocab);
  const auto decoder = MakeSequenceDecoder(model.config(), {.num_beams = 3, .max_new_tokens = 5},
                                           {}, {}, FreshRow(&model));
  ASSERT_TRUE(decoder->Advance(model, Say(4)).ok());
  EXPECT_EQ(decoder->rows().size(), 3u);
  EXPECT_THAT(decoder->sequence().ids, IsEmpty());  // nothing before it is done
}

TEST(SequenceDecoderTest, AnyEndTokenEndsItAndStaysItself) {
  FakeSeq2SeqModel model(kVocab);
  T5Config config = model.config();
  config.eos_token_ids = {kEos, 3};
  const auto decoder = MakeSequenceDecoder(config, {.max_new_tokens = 5}, {}, {}, FreshRow(&model));
  ASSERT_TRUE(decoder->Advance(model, Say(2)).ok());
  ASSERT_TRUE(decoder->Advance(model, Say(3)).ok());
  EXPECT_TRUE(decoder->done());
  EXPECT_THAT(decoder->sequence().ids, ElementsAre(2, 3));
  EXPECT_EQ(decoder->sequence().finish, FinishReason::kEos);
}

TEST(SequenceDecoderTest, NoEndTokenNeverEndsEarly) {
  FakeSeq2SeqModel model(kVocab);
  T5Config config = model.config();
  config.eos_token_ids = {};
  const auto decoder = MakeSequenceDecoder(config, {.max_new_tokens = 2, .min_new_tokens = 2}, {},
                                           {}, FreshRow(&model));
  ASSERT_TRUE(decoder->Advance(model, Say(kEos)).ok());
  EXPECT_FALSE(decoder->done());
  EXPECT_THAT(decoder->sequence().ids, ElementsAre(kEos));
}

// Settings that leave nothing end this request, and no other of its batch: a forbidden token is
// never the answer.
TEST(SequenceDecoderTest, SettingsThatForbidEverythingAreAnErrorOfThisRequestAlone) {
  for (const int beams : {1, 3}) {
    FakeSeq2SeqModel model(kVocab);
    SamplingParams params{.num_beams = beams, .max_new_tokens = 2 * kVocab};
    params.SetRules({.no_repeat_ngram_size = 1, .suppress_tokens = {kEos}});
    const auto decoder = MakeSequenceDecoder(model.config(), params, {}, {}, FreshRow(&model));
    int steps = 0;
    for (; !decoder->done() && steps < 2 * kVocab; ++steps) {
      std::vector<float> logits;
      for (size_t i = 0; i < decoder->rows().size(); ++i) {
        const std::vector<float> row = Say(2);
        logits.insert(logits.end(), row.begin(), row.end());
      }
      ASSERT_TRUE(decoder->Advance(model, logits).ok());
    }
    EXPECT_TRUE(decoder->done());
    EXPECT_THAT(decoder->rows(), IsEmpty());
    EXPECT_EQ(decoder->status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(steps, kVocab - 1) << "the start token and </s> are out, one token per step";
  }
}

}  // namespace sequence_decoder_test
}  // namespace mellow::nn
