// Tokenizers as transformers 4.45 and 5 save them, and as other software writes tokenizer.json,
// compared with AutoTokenizer of transformers 4.45 (make_saved_tokenizers_golden.py).

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "common/text/load_tokenizer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"

namespace mellow::text {
namespace saved_tokenizers_test {

using Ids = std::vector<int32_t>;

TEST(SavedTokenizersTest, EqualAutoTokenizer) {
  std::ifstream in(mellow::SourceTree("/tests/common/text/saved_tokenizers_golden.jsonl"));
  std::vector<std::string> texts;
  int folders = 0, compared = 0;
  for (std::string line; std::getline(in, line);) {
    const nlohmann::json row = nlohmann::json::parse(line);
    if (row.contains("texts")) {  // the first line
      texts = row["texts"].get<std::vector<std::string>>();
      continue;
    }
    ++folders;
    const std::string name = row["name"];
    SCOPED_TRACE(name);
    std::map<std::string, std::string> files = row["files"];
    for (const auto& [file, base64] : row["binary"].items()) {
      ASSERT_TRUE(absl::Base64Unescape(base64.get<std::string>(), &files[file]));
    }
    const auto tokenizer = MakeTokenizer(files, name);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    ASSERT_EQ(row["ids"].size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const Ids expected = row["ids"][i];
      EXPECT_EQ(*(*tokenizer)->Encode(texts[i]), expected) << texts[i];
      EXPECT_EQ(*(*tokenizer)->Encode(texts[i], 8), row["cut"][i].get<Ids>()) << texts[i];
      const std::string& pair = texts[texts.size() - 1 - i];
      const auto both = pair.empty()  // which is none
                            ? (*tokenizer)->Encode(texts[i], 14)
                            : (*tokenizer)->EncodePair(texts[i], pair, 14);
      EXPECT_EQ(*both, row["pairs"][i].get<Ids>()) << texts[i];
      EXPECT_EQ(*(*tokenizer)->Decode(expected, true), row["decoded"][i].get<std::string>());
      EXPECT_EQ(*(*tokenizer)->Decode(expected, false), row["kept"][i].get<std::string>());
      ++compared;
    }
  }
  EXPECT_EQ(folders, 24);
  EXPECT_EQ(compared, folders * static_cast<int>(texts.size()));
}

}  // namespace saved_tokenizers_test
}  // namespace mellow::text
