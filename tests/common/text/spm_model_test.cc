#include "common/text/spm_model.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::string& file) {
  const absl::StatusOr<SpmModel> model = ParseSpmModel(file);
  if (model.ok()) return "no error";
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(model.status().message());
}

TEST(SpmModelTest, ReadsPiecesScoresAndCharsmap) {
  const absl::StatusOr<SpmModel> model = ParseSpmModel(SpmFile({{"\u2581a", -1.5f}}, "map"));
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->pieces.size(), 4u);
  EXPECT_EQ(model->pieces[3].text, "\u2581a");
  EXPECT_EQ(model->pieces[3].score, -1.5f);
  EXPECT_EQ(model->unk_id, 2);
  EXPECT_EQ(model->precompiled_charsmap, "map");
}

TEST(SpmModelTest, EveryTruncationIsAnErrorOrAShorterModel) {
  const std::string file = SpmFile({{"a", -1}, {"b", -2}}, "map");
  for (size_t size = 0; size < file.size(); ++size) {
    const absl::StatusOr<SpmModel> model = ParseSpmModel(file.substr(0, size));
    EXPECT_TRUE(!model.ok() || model->pieces.size() <= 5u) << size;
  }
}

TEST(SpmModelTest, NamesWhatIsWrong) {
  EXPECT_THAT(ErrorOf("this is no model"), HasSubstr("not a SentencePiece model"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no unknown piece"));
  EXPECT_THAT(ErrorOf(SpmFile({{"", -1}})), HasSubstr("piece 3 is empty"));
  EXPECT_THAT(ErrorOf(SpmFile({{"\xFF", -1}})), HasSubstr("piece 3 is not UTF-8"));
  EXPECT_THAT(ErrorOf(SpmFile({{"a", std::numeric_limits<float>::quiet_NaN()}})),
              HasSubstr("score of piece 3"));
  EXPECT_THAT(ErrorOf(SpmFile({}) + BytesField(2, VarintField(3, 2))),
              HasSubstr("model_type is 2"));
  EXPECT_THAT(ErrorOf(SpmFile({}) + BytesField(2, VarintField(35, 1))), HasSubstr("byte_fallback"));
}

}  // namespace
}  // namespace mellow::text
