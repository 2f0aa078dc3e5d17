// The tokenizers of the models that ship, compared with transformers (make_mini_models_golden.py).

#include <fstream>
#include <string>
#include <vector>

#include "common/text/load_tokenizer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"

namespace mellow::text {
namespace mini_models_test {

class MiniModelsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(MiniModelsTest, EqualsTheFastTokenizer) {
  const auto tokenizer = LoadTokenizer(mellow::SourceTree("/deploy/models/") + GetParam());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::ifstream in(mellow::SourceTree("/tests/common/text/mini_models_golden.jsonl"));
  int rows = 0;
  for (std::string line; std::getline(in, line); ++rows) {
    const nlohmann::json row = nlohmann::json::parse(line);
    const std::string text = row["text"];
    const std::vector<int32_t> expected = row["ids"][GetParam()];
    const auto ids = (*tokenizer)->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, expected) << line;
    EXPECT_EQ(*(*tokenizer)->Decode(expected, /*skip_special_tokens=*/true),
              row["decoded"][GetParam()].get<std::string>())
        << line;
  }
  EXPECT_EQ(rows, 44);
}

INSTANTIATE_TEST_SUITE_P(Shipped, MiniModelsTest,
                         ::testing::Values("mini-summarizer", "mini-toxicity"));

}  // namespace mini_models_test
}  // namespace mellow::text
