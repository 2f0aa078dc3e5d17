#include "common/text/pipeline/bpe.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace bpe_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsEmpty;

absl::flat_hash_map<std::string, int32_t> Vocab() {
  return {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"bc", 4}, {"abc", 5}, {"aa", 6}, {"aaaa", 7}};
}

std::vector<int32_t> Encode(const Bpe::Merges& merges, absl::string_view word,
                            const Bpe::Options& options = {}) {
  const absl::StatusOr<Bpe> bpe = Bpe::Create(Vocab(), merges, options);
  EXPECT_TRUE(bpe.ok()) << bpe.status();
  Bpe::Scratch scratch;
  std::vector<int32_t> ids;
  if (bpe.ok()) bpe->Encode(word, &scratch, &ids);
  return ids;
}

TEST(BpeTest, AppliesTheBestMergeFirst) {
  EXPECT_THAT(Encode({{"a", "b"}, {"b", "c"}}, "abc"), ElementsAre(3, 2));
  EXPECT_THAT(Encode({{"b", "c"}, {"a", "b"}}, "abc"), ElementsAre(0, 4));
  EXPECT_THAT(Encode({{"b", "c"}, {"a", "bc"}}, "abcabc"), ElementsAre(5, 5));
}

TEST(BpeTest, OfEqualMergesTheLeftmostGoesFirst) {
  EXPECT_THAT(Encode({{"a", "a"}}, "aaa"), ElementsAre(6, 0));
  EXPECT_THAT(Encode({{"a", "a"}, {"aa", "aa"}}, "aaaaaaa"), ElementsAre(7, 6, 0));
}

TEST(BpeTest, BytesOutsideTheVocabularyVanish) {
  EXPECT_THAT(Encode({{"a", "b"}}, "axb"), ElementsAre(3));
  EXPECT_THAT(Encode({{"a", "b"}}, "xyz"), IsEmpty());
  EXPECT_THAT(Encode({}, ""), IsEmpty());
}

TEST(BpeTest, UnknownBytesAreTheUnknownTokenWhereThereIsOne) {
  EXPECT_THAT(Encode({{"a", "b"}}, "axyb", {.unk_id = 5}), ElementsAre(0, 5, 5, 1));
  EXPECT_THAT(Encode({{"a", "b"}}, "xyabz", {.unk_id = 5, .fuse_unk = true}), ElementsAre(5, 3, 5));
}

TEST(BpeTest, AWordOfTheVocabularyIsOneTokenWhereMergesAreIgnored) {
  EXPECT_THAT(Encode({{"b", "c"}}, "abc", {.ignore_merges = true}), ElementsAre(5));
  EXPECT_THAT(Encode({{"b", "c"}}, "abca", {.ignore_merges = true}), ElementsAre(0, 4, 0));
}

TEST(BpeTest, NamesThePairThatIsNoMerge) {
  for (const Bpe::Merges& merges :
       {Bpe::Merges{{"a", "b"}, {"a", "x"}}, Bpe::Merges{{"a", "b"}, {"a", "c"}}}) {
    const absl::StatusOr<Bpe> bpe = Bpe::Create(Vocab(), merges);
    EXPECT_EQ(bpe.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(bpe.status().message()), HasSubstr("merge 2 (\"a\" "));
  }
}

TEST(BpeTest, ALongWordTakesNoQuadraticTime) {
  // 2^20 symbols: a quadratic search would run for hours and into the test's time limit.
  EXPECT_EQ(Encode({{"a", "a"}, {"aa", "aa"}}, std::string(1 << 20, 'a')).size(), size_t{1} << 18);
}

}  // namespace bpe_test
}  // namespace mellow::text
