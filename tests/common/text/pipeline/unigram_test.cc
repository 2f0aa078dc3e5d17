#include "common/text/pipeline/unigram.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace unigram_test {

using ::testing::ElementsAre;
using testing::IsEmpty;

std::vector<int32_t> Encode(const std::vector<Unigram::Piece>& pieces, absl::string_view word) {
  Unigram::Scratch scratch;
  std::vector<int32_t> ids;
  Unigram(pieces, /*unk_id=*/0).Encode(word, &scratch, &ids);
  return ids;
}

TEST(UnigramTest, TakesThePathWithTheBestSum) {
  const std::vector<Unigram::Piece> pieces = {{"<unk>", 0, 0}, {"a", -1, 1},   {"b", -1, 2},
                                              {"ab", -1.5, 3}, {"abc", -9, 4}, {"c", -2, 5}};
  EXPECT_THAT(Encode(pieces, "abc"), ElementsAre(3, 5));
  EXPECT_THAT(Encode(pieces, "ba"), ElementsAre(2, 1));
  EXPECT_THAT(Encode(pieces, ""), IsEmpty());
}

TEST(UnigramTest, OfEqualPathsTheFirstStays) {
  // a|bc is offered for the end before ab|c, which is no better.
  EXPECT_THAT(
      Encode({{"<unk>", 0, 0}, {"a", -1, 1}, {"ab", -1, 2}, {"bc", -1, 3}, {"c", -1, 4}}, "abc"),
      ElementsAre(1, 3));
}

TEST(UnigramTest, AdjacentUnknownCharactersAreOneToken) {
  const std::vector<Unigram::Piece> pieces = {{"<unk>", 0, 0}, {"a", -1, 1}};
  EXPECT_THAT(Encode(pieces, "a\u65E5\u672Ca\U0001F600"), ElementsAre(1, 0, 1, 0));
}

TEST(UnigramTest, AnUnknownCharacterCostsMoreThanTheWorstPieces) {
  // "xy" is known only as a whole, and its score is bad; x and y alone would be unknown.
  EXPECT_THAT(Encode({{"<unk>", 0, 0}, {"xy", -50, 1}}, "xy"), ElementsAre(1));
}

TEST(UnigramTest, UnknownCharactersAreTheirBytesWhereAllOfThemArePieces) {
  const std::vector<Unigram::Piece> pieces = {
      {"<unk>", 0, 0}, {"a", -1, 1}, {"<0xC3>", -9, 2}, {"<0xA9>", -9, 3}, {"<0xc4>", -9, 4}};
  Unigram::Scratch scratch;
  std::vector<int32_t> ids;
  Unigram(pieces, 0, /*byte_fallback=*/true)
      .Encode("a\u00E9\u00E9a\u00E8\u00E9<unk>", &scratch, &ids);
  EXPECT_THAT(ids, ElementsAre(1, 2, 3, 2, 3, 1, 0));
}

}  // namespace unigram_test
}  // namespace mellow::text
