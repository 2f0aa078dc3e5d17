#include "common/text/tokenizer.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace {

using testing::HasSubstr;

constexpr char kVocab[] = R"({"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5})";

TEST(LoadTokenizerTest, ChoosesByTheFilesOfTheFolder) {
  const auto t5 = LoadTokenizer(MakeFolder({{"spiece.model", SpmFile({{"\u2581", -1}, {"a", -1}})},
                                            {"tokenizer_config.json", R"({"extra_ids": 0})"}}));
  ASSERT_TRUE(t5.ok()) << t5.status();
  EXPECT_EQ(*(*t5)->Encode("a"), (std::vector<int32_t>{3, 4, 1}));
  const auto roberta =
      LoadTokenizer(MakeFolder({{"vocab.json", kVocab}, {"merges.txt", "#version: 0.2\na b\n"}}));
  ASSERT_TRUE(roberta.ok()) << roberta.status();
  EXPECT_EQ(*(*roberta)->Encode("ab"), (std::vector<int32_t>{0, 5, 2}));
}

TEST(LoadTokenizerTest, NamesWhatIsMissing) {
  const std::string folder = MakeFolder({});
  const auto nothing = LoadTokenizer(folder);
  EXPECT_EQ(nothing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(nothing.status().message()), HasSubstr(folder));
  const auto half = LoadTokenizer(MakeFolder({{"vocab.json", kVocab}}));
  EXPECT_EQ(half.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(half.status().message()), HasSubstr("merges.txt"));
  EXPECT_EQ(LoadTokenizer("/nonexistent/folder").status().code(), absl::StatusCode::kNotFound);
}

TEST(LoadTokenizerTest, NamesTheCorruptFile) {
  const auto tokenizer = LoadTokenizer(MakeFolder({{"spiece.model", "no model at all"}}));
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tokenizer.status().message()),
              HasSubstr("spiece.model: not a SentencePiece model"));
}

}  // namespace
}  // namespace mellow::text
