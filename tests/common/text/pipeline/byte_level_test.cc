#include "common/text/pipeline/byte_level.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace byte_level_test {

using ::testing::ElementsAre;

std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = WordEnd(text, pos);
    words.emplace_back(text.substr(pos, end - pos));
    pos = end;
  }
  return words;
}

TEST(ByteLevelTest, WordsTakeTheSpaceBeforeThem) {
  EXPECT_THAT(Words("Hello world 42!"), ElementsAre("Hello", " world", " 42", "!"));
  EXPECT_THAT(Words("a1,b"), ElementsAre("a", "1", ",", "b"));
  EXPECT_THAT(Words("caf\u00E9 \u65E5\u672C"), ElementsAre("caf\u00E9", " \u65E5\u672C"));
}

TEST(ByteLevelTest, RunsOfWhiteSpaceLeaveTheirLastCharacterToTheWord) {
  EXPECT_THAT(Words("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(Words("a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(Words("a \u3000b"), ElementsAre("a", " ", "\u3000", "b"));
  EXPECT_THAT(Words("a  "), ElementsAre("a", "  "));
  EXPECT_THAT(Words(" "), ElementsAre(" "));
}

TEST(ByteLevelTest, SplitsLowerCaseContractions) {
  EXPECT_THAT(Words("I'm we'll don't he'd"),
              ElementsAre("I", "'m", " we", "'ll", " don", "'t", " he", "'d"));
  EXPECT_THAT(Words("I'M ''s 's"), ElementsAre("I", "'", "M", " ''", "s", " '", "s"));
}

TEST(ByteLevelTest, EveryByteHasItsOwnCharacter) {
  const auto& characters = ByteCharacters();
  EXPECT_EQ(std::set<std::string>(characters.begin(), characters.end()).size(), 256u);
  EXPECT_EQ(characters['a'], "a");
  EXPECT_EQ(characters[' '], "\u0120");
  EXPECT_EQ(characters['\n'], "\u010A");
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(BytesOfTokens({characters[byte]}), std::string(1, static_cast<char>(byte)));
  }
}

TEST(ByteLevelTest, ATokenOutsideTheAlphabetStandsForItself) {
  EXPECT_EQ(BytesOfTokens({"\u0120a", "my token", "\u65E5"}), " amy token\u65E5");
}

}  // namespace byte_level_test
}  // namespace mellow::text
