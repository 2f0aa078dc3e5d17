#include "common/text/pipeline/charsmap.h"

#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace charsmap_test {

std::string Normalize(const std::vector<std::pair<std::string, std::string>>& map,
                      absl::string_view text) {
  const absl::StatusOr<Charsmap> charsmap = Charsmap::Parse(CharsmapBlob(map));
  if (!charsmap.ok()) return charsmap.status().ToString();
  return charsmap->Normalize(text);
}

TEST(CharsmapTest, AnEmptyMapKeepsTheText) {
  ASSERT_TRUE(Charsmap::Parse("").ok());
  EXPECT_EQ(Charsmap::Parse("")->Normalize("a\r\n\u00E9e\u0301"), "a\r\n\u00E9e\u0301");
}

TEST(CharsmapTest, MapsCharacters) {
  const std::vector<std::pair<std::string, std::string>> map = {
      {"\n", " "}, {"\x01", ""}, {"\uFB01", "fi"}, {"\u2581", " "}};
  EXPECT_EQ(Normalize(map,
                      "a\nb\x01"
                      "c \uFB01ne \u2581 \u65E5"),
            "a bc fine   \u65E5");
}

TEST(CharsmapTest, ComposesAClusterOfAtMostFiveBytes) {
  const std::vector<std::pair<std::string, std::string>> map = {{"e\u0301", "\u00E9"}};
  EXPECT_EQ(Normalize(map, "e\u0301x"), "\u00E9x");
  EXPECT_EQ(Normalize(map, "e\u0301\u0302\u0303"),
            "e\u0301\u0302\u0303");  // seven bytes: character by character
  EXPECT_EQ(Normalize(map, "\u06DDe\u0301"),
            "\u06DDe\u0301");  // the cluster begins with another character
}

TEST(CharsmapTest, TheShortestPrefixWinsAndTheRestOfTheClusterVanishes) {
  const std::vector<std::pair<std::string, std::string>> map = {{"\u00B2", "2"},
                                                                {"\u00B2\u0301", "never"}};
  EXPECT_EQ(Normalize(map, "\u00B2\u0301z"), "2z");
  EXPECT_EQ(Normalize({{"\r", " "}}, "a\r\nb"), "a b");
}

TEST(CharsmapTest, RejectsCorruptBlobs) {
  const std::string blob = CharsmapBlob({{"a", "b"}});
  EXPECT_EQ(Charsmap::Parse("abc").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Charsmap::Parse(blob.substr(0, 100)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Charsmap::Parse(std::string("\x03\0\0\0abc", 7)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Charsmap::Parse(blob + "\xFF").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CharsmapTest, SurvivesATrieThatPointsNowhere) {
  std::string blob = std::string("\x08\0\0\0", 4) + std::string(8, '\xFF') + "image";
  const absl::StatusOr<Charsmap> charsmap = Charsmap::Parse(blob);
  ASSERT_TRUE(charsmap.ok()) << charsmap.status();
  EXPECT_EQ(charsmap->Normalize("a\u00E9\u0301"), "a\u00E9\u0301");
}

}  // namespace charsmap_test
}  // namespace mellow::text
