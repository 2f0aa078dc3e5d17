#include "common/text/bpe.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

absl::flat_hash_map<std::string, int32_t> Vocab() {
  return {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"bc", 4}, {"abc", 5}, {"aa", 6}, {"aaaa", 7}};
}

std::vector<int32_t> Encode(absl::string_view merges, absl::string_view word) {
  const absl::StatusOr<Bpe> bpe = Bpe::Create(Vocab(), merges);
  EXPECT_TRUE(bpe.ok()) << bpe.status();
  Bpe::Scratch scratch;
  std::vector<int32_t> ids;
  if (bpe.ok()) bpe->Encode(word, &scratch, &ids);
  return ids;
}

TEST(BpeTest, AppliesTheBestMergeFirst) {
  EXPECT_THAT(Encode("#version: 0.2\na b\nb c\n", "abc"), ElementsAre(3, 2));
  EXPECT_THAT(Encode("b c\na b\n", "abc"), ElementsAre(0, 4));
  EXPECT_THAT(Encode("b c\na bc\n", "abcabc"), ElementsAre(5, 5));
}

TEST(BpeTest, OfEqualMergesTheLeftmostGoesFirst) {
  EXPECT_THAT(Encode("a a\n", "aaa"), ElementsAre(6, 0));
  EXPECT_THAT(Encode("a a\naa aa\n", "aaaaaaa"), ElementsAre(7, 6, 0));
}

TEST(BpeTest, BytesOutsideTheVocabularyVanish) {
  EXPECT_THAT(Encode("a b\n", "axb"), ElementsAre(3));
  EXPECT_THAT(Encode("a b\n", "xyz"), IsEmpty());
  EXPECT_THAT(Encode("", ""), IsEmpty());
}

TEST(BpeTest, NamesTheLineThatIsNoMerge) {
  for (const char* merges : {"a b\na x\n", "a b\nabc\n", "a b\na c\n", "a b\na b c\n"}) {
    const absl::StatusOr<Bpe> bpe = Bpe::Create(Vocab(), merges);
    EXPECT_EQ(bpe.status().code(), absl::StatusCode::kInvalidArgument) << merges;
    EXPECT_THAT(std::string(bpe.status().message()), HasSubstr("line 2")) << merges;
  }
}

TEST(BpeTest, ALongWordTakesNoQuadraticTime) {
  // 2^20 symbols: a quadratic search would run for hours and into the test's time limit.
  EXPECT_EQ(Encode("a a\naa aa\n", std::string(1 << 20, 'a')).size(), size_t{1} << 18);
}

}  // namespace
}  // namespace mellow::text
