// The sentencepiece library as a second opinion on the shipped model. The tokenizer of the product
// follows the *fast* tokenizers of Hugging Face, which differ from the library in corners (rare
// Unicode, scores that are nearly equal); on the dialogues of the demo, line by line, they must be
// the same.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "common/text/load_tokenizer.h"
#include "tests/common/text/sentencepiece_library.h"
#include "tests/testing/source_tree.h"

namespace mellow::text {
namespace sentencepiece_parity_test {

TEST(SentencePieceParityTest, TheShippedModelSegmentsAsTheLibraryDoes) {
  const std::string folder = mellow::SourceTree("/deploy/models/mini-summarizer");
  std::ifstream file(mellow::SourceTree("/deploy/runs/mini/heldout.jsonl"));
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);) texts.push_back(line);
  ASSERT_GT(texts.size(), 300u);
  const auto tokenizer = LoadTokenizer(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto expected = testing::SentencePieceIds(folder + "/spiece.model", texts);
  ASSERT_EQ(expected.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    auto ids = (*tokenizer)->Encode(texts[i]);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ids->pop_back();  // </s>
    EXPECT_EQ(std::vector<int>(ids->begin(), ids->end()), expected[i]) << texts[i];
  }
}

}  // namespace sentencepiece_parity_test
}  // namespace mellow::text
