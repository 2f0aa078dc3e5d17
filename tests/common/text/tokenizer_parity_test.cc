// Compares with ids that Hugging Face's fast tokenizers made. The vocabularies and the rows are not
// ours to ship: the tests are skipped where they are absent.

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "common/text/load_tokenizer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/outside_data.h"

namespace mellow::text {
namespace tokenizer_parity_test {

namespace fs = std::filesystem;

const std::string kData = mellow::OutsideData("");

class TokenizerParityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kData)) GTEST_SKIP() << "no reference data at " << kData;
  }

  // A model folder as it is on the Hub, put together from files of the reference data.
  static std::unique_ptr<Tokenizer> Load(const std::vector<std::string>& files) {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    const fs::path folder =
        fs::path(::testing::TempDir()) / (std::string("mellow_parity_") + test->name());
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const std::string& file : files) {
      fs::copy_file(fs::path(kData) / file, folder / fs::path(file).filename());
    }
    auto tokenizer = LoadTokenizer(folder.string());
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
  }

  static std::unique_ptr<Tokenizer> LoadT5() {
    return Load({"t5/spiece.model", "flan-t5-base/tokenizer.json",
                 "flan-t5-base/tokenizer_config.json", "flan-t5-base/config.json"});
  }
  static std::unique_ptr<Tokenizer> LoadRoberta() {
    return Load({"roberta/vocab.json", "roberta/merges.txt", "roberta/tokenizer_config.json",
                 "roberta/tokenizer.json"});
  }

  // `expected` turns the ids of the column into those to expect.
  static void ExpectRowsEqual(
      const Tokenizer& tokenizer, const char* column,
      const std::function<void(const std::string&, std::vector<int32_t>*)>& expected = {}) {
    std::ifstream in(std::string(kData) + "/vectors/tokenizer_oracle.jsonl");
    int rows = 0;
    for (std::string line; std::getline(in, line); ++rows) {
      const nlohmann::json row = nlohmann::json::parse(line);
      const std::string text = row["text"];
      const auto ids = tokenizer.Encode(text);
      ASSERT_TRUE(ids.ok()) << ids.status();
      std::vector<int32_t> want = row[column];
      if (expected) expected(text, &want);
      EXPECT_EQ(*ids, want) << text;
    }
    EXPECT_EQ(rows, 606);
  }
};

TEST_F(TokenizerParityTest, FlanT5EqualsTheFastTokenizer) {
  ExpectRowsEqual(*LoadT5(), "flan_t5_fast");
}

// The ids of T5 where white space at the end of a text is dropped.
void DropFinalSpace(const std::string& text, std::vector<int32_t>* ids) {
  constexpr int32_t kSpace = 3;
  if (ids->size() > 1 && ids->end()[-2] == kSpace) ids->erase(ids->end() - 2);
  if (text == "<extra_id_0> fill <extra_id_1>") *ids = {32099, 14, 32098, 1};
}

// What AutoTokenizer of transformers 4.45.2 gives for such a folder.
TEST_F(TokenizerParityTest, FlanT5OfSpieceModelAloneKeepsNoWhiteSpaceAtTheEnd) {
  ExpectRowsEqual(*Load({"t5/spiece.model"}), "flan_t5_fast", DropFinalSpace);
}

// transformers 5.24.0 saves the tokenizer of FLAN-T5 with these two parts changed, and gives these
// ids then, as 4.45.2 does for what it saved.
TEST_F(TokenizerParityTest, FlanT5AsTransformers5SavesIt) {
  std::ifstream in(kData + "/flan-t5-base/tokenizer.json");
  nlohmann::json file = nlohmann::json::parse(in);
  file["normalizer"] = nlohmann::json(file["normalizer"]["normalizers"][0]);
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", {{{"type", "WhitespaceSplit"}}, file["pre_tokenizer"]}}};
  const auto tokenizer = MakeTokenizer(
      {{"tokenizer.json", file.dump()},
       {"tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 100})"}},
      "dir");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  ExpectRowsEqual(**tokenizer, "flan_t5_fast", DropFinalSpace);
}

TEST_F(TokenizerParityTest, RobertaEqualsTheFastTokenizer) {
  ExpectRowsEqual(*LoadRoberta(), "roberta");
}

TEST_F(TokenizerParityTest, RobertaNeedsOnlyVocabularyAndMerges) {
  ExpectRowsEqual(*Load({"roberta/vocab.json", "roberta/merges.txt"}), "roberta");
}

struct Row {
  const char* text;
  std::vector<int32_t> ids;
};

// Made by transformers 4.45.2: what no row of the file above has in it.
TEST_F(TokenizerParityTest, FlanT5OfUnusualTexts) {
  const auto tokenizer = LoadT5();
  for (const Row& row : std::vector<Row>{
           {"", {1}},
           {" ", {3, 1}},
           {"a\n\n", {3, 9, 3, 1}},
           {"a </s> b", {3, 9, 3, 1, 3, 115, 1}},
           {"x<extra_id_0>y", {3, 226, 32099, 3, 63, 1}},
           {"<extra_id_100>", {3, 2, 25666, 834, 23, 26, 834, 2915, 3155, 1}},
           {"a \u2581 b", {3, 9, 3, 115, 1}},
           {"\uFB01ne", {1399, 1}},
           {"e\u0301", {3, 154, 1}},
           {"a\x01"
            "b",
            {703, 1}},
           {"\uFEFFa\u200B"
            "b",
            {3, 9, 3, 115, 1}},
           // 17-digit scores lose their last bit in tokenizer.json; without that the single "g"
           // would come first.
           {"ggggggggggggggggggggg",
            {3, 4102, 4102, 122, 4102, 4102, 4102, 4102, 4102, 4102, 4102, 4102, 1}},
       }) {
    EXPECT_EQ(*tokenizer->Encode(row.text), row.ids) << row.text;
  }
  EXPECT_EQ(*tokenizer->Decode({3, 3, 9, 1}, false), " a</s>");
  EXPECT_EQ(*tokenizer->Decode({2, 5}, true), ".");
  EXPECT_EQ(*tokenizer->Decode({32127, 5}, true), ".");  // padding of the embedding
  EXPECT_FALSE(tokenizer->Decode({32128}, true).ok());
  EXPECT_EQ(tokenizer->vocab_size(), 32100);
}

TEST_F(TokenizerParityTest, RobertaOfUnusualTexts) {
  const auto tokenizer = LoadRoberta();
  for (const Row& row : std::vector<Row>{
           {"", {0, 2}},
           {" ", {0, 1437, 2}},
           {"a  \n<mask> <mask>", {0, 102, 50264, 50264, 2}},
           {"a\x1C<mask>", {0, 102, 50136, 50264, 2}},
           {" <s> x", {0, 1437, 0, 3023, 2}},
           {"I'M don't 'S 're'", {0, 100, 108, 448, 218, 75, 128, 104, 128, 241, 108, 2}},
           {"\u00BD \u00B2", {0, 14989, 5505, 14292, 2}},
           {"e\u0301", {0, 242, 44025, 10172, 2}},
           {"it''s", {0, 405, 17809, 29, 2}},
       }) {
    EXPECT_EQ(*tokenizer->Encode(row.text), row.ids) << row.text;
  }
  EXPECT_EQ(*tokenizer->Decode({0, 100, 200, 2}, false), "<s>I second</s>");
  EXPECT_EQ(tokenizer->vocab_size(), 50265);
}

}  // namespace tokenizer_parity_test
}  // namespace mellow::text
