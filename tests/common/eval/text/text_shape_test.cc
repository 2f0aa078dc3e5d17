#include "common/eval/text/text_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/eval/text/identity_terms.h"

namespace mellow::eval {
namespace text_shape_test {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WordsTest, AreRunsOfLettersAndDigitsOfAnyScript) {
  EXPECT_THAT(Words("Don't stop, Café 24! 'Quoted' rock 'n' roll"),
              ElementsAre("don't", "stop", "café", "24", "quoted", "rock", "n", "roll"));
  EXPECT_THAT(Words("“Да”, sagte Özil — 好的。"), ElementsAre("Да", "sagte", "Özil", "好的"));
  EXPECT_THAT(Words("it’s a''b"), ElementsAre("it’s", "a", "b"));
  EXPECT_THAT(Words(" ... \n"), IsEmpty());
  EXPECT_THAT(Words("a\xFF"
                    "b"),
              ElementsAre("a", "b"));  // not UTF-8
}

TEST(RepeatedTrigramsTest, CountsWhatCameBefore) {
  EXPECT_EQ(RepeatedTrigrams(Words("a b")), 0);
  EXPECT_EQ(RepeatedTrigrams(Words("a b c d e")), 0);
  EXPECT_EQ(RepeatedTrigrams(Words("a b c a b c")), 0.25);  // abc bca cab abc
  EXPECT_EQ(RepeatedTrigrams(Words("no no no no no no")), 0.75);
}

TEST(DistinctTest, CountsOverAllTextsButNotAcrossThem) {
  const std::vector<std::vector<std::string>> texts = {Words("a b a"), Words("b a")};
  EXPECT_DOUBLE_EQ(Distinct(texts, 1), 2.0 / 5);
  EXPECT_DOUBLE_EQ(Distinct(texts, 2), 2.0 / 3);  // ab ba | ba
  EXPECT_EQ(Distinct(texts, 4), 0);
  EXPECT_EQ(Distinct({}, 1), 0);
}

TEST(FindIdentitiesTest, FindsWholeWordsInAnyCase) {
  EXPECT_THAT(FindIdentities("#Person1#: The WOMAN next door is Muslim."),
              ElementsAre("women", "muslims"));
  EXPECT_THAT(FindIdentities("An old-man's boat; a black coat"), ElementsAre());
  EXPECT_THAT(FindIdentities("two black women,\nan Asylum  Seeker"),
              ElementsAre("women", "black people", "immigrants"));
  EXPECT_THAT(FindIdentities("mangoes, womanly, management"), IsEmpty());
}

// A term that is not as Words gives it could never be found.
TEST(FindIdentitiesTest, EveryTermOfTheListIsFoundAndBelongsToOneGroup) {
  std::set<std::string> terms;
  for (const IdentityGroup& group : IdentityGroups()) {
    for (const char* term : group.terms) {
      EXPECT_TRUE(terms.insert(term).second) << term;
      EXPECT_THAT(FindIdentities(term), ::testing::Contains(group.name)) << term;
    }
  }
}

}  // namespace text_shape_test
}  // namespace mellow::eval
