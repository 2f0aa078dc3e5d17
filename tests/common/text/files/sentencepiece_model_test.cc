#include "common/text/files/sentencepiece_model.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace sentencepiece_model_test {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& file) {
  SentencePieceModel model;
  const std::string error = ReadSentencePieceModel(file, &model);
  return error.empty() ? "no error" : error;
}

TEST(SentencePieceModelTest, ReadsPiecesScoresKindsAndCharsmap) {
  SentencePieceModel model;
  EXPECT_EQ(ReadSentencePieceModel(
                SpmFile({{"\u2581a", -1.5f}}, "map") + SpmPiece("[x]", -2, kUserDefined), &model),
            "");
  ASSERT_EQ(model.pieces.size(), 5u);
  EXPECT_EQ(model.pieces[3].text, "\u2581a");
  EXPECT_EQ(model.pieces[3].score, -1.5f);
  EXPECT_TRUE(model.pieces[0].control);
  EXPECT_FALSE(model.pieces[2].control);
  EXPECT_TRUE(model.pieces[4].user_defined);
  EXPECT_EQ(model.unk_id, 2);
  EXPECT_EQ(model.precompiled_charsmap, "map");
}

TEST(SentencePieceModelTest, EveryTruncationIsAnErrorOrAShorterModel) {
  const std::string file = SpmFile({{"a", -1}, {"b", -2}}, "map");
  for (size_t size = 0; size < file.size(); ++size) {
    SentencePieceModel model;
    EXPECT_TRUE(!ReadSentencePieceModel(file.substr(0, size), &model).empty() ||
                model.pieces.size() <= 5u)
        << size;
  }
}

TEST(SentencePieceModelTest, SaysWhatIsWrong) {
  EXPECT_THAT(ErrorOf("this is no model"), HasSubstr("not a SentencePiece model"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("not a SentencePiece model"));
  EXPECT_THAT(ErrorOf(SpmFile({{"", -1}})), HasSubstr("piece must not be empty"));
  EXPECT_THAT(ErrorOf(SpmFile({{"a", -1}, {"a", -2}})), HasSubstr("already defined"));
  EXPECT_THAT(ErrorOf(SpmFile({{"a", std::numeric_limits<float>::quiet_NaN()}})),
              HasSubstr("score of piece 3"));
  EXPECT_THAT(ErrorOf(SpmFile({{"a", -1}}) + BytesField(2, VarintField(3, 2))),
              HasSubstr("model_type is 2"));
  EXPECT_THAT(ErrorOf(SpmFile({{"a", -1}}) + BytesField(2, VarintField(35, 1))),
              HasSubstr("byte_fallback"));
}

}  // namespace sentencepiece_model_test
}  // namespace mellow::text
