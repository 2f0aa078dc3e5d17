#include "common/eval/text/porter_stemmer.h"

#include <gtest/gtest.h>

#include <utility>

namespace mellow::eval {
namespace porter_stemmer_test {

// Expected stems are those of nltk.stem.porter.PorterStemmer 3.9 in its default mode.
TEST(PorterStemTest, StemsAsNltkDoes) {
  const std::pair<const char*, const char*> kWords[] = {{"dies", "die"},
                                                        {"skies", "sky"},
                                                        {"dying", "die"},
                                                        {"cries", "cri"},
                                                        {"tied", "tie"},
                                                        {"studied", "studi"},
                                                        {"agreed", "agre"},
                                                        {"feed", "feed"},
                                                        {"plastered", "plaster"},
                                                        {"singing", "sing"},
                                                        {"sing", "sing"},
                                                        {"conflated", "conflat"},
                                                        {"troubled", "troubl"},
                                                        {"sized", "size"},
                                                        {"hopping", "hop"},
                                                        {"falling", "fall"},
                                                        {"hissing", "hiss"},
                                                        {"fizzed", "fizz"},
                                                        {"failing", "fail"},
                                                        {"filing", "file"},
                                                        {"happy", "happi"},
                                                        {"enjoy", "enjoy"},
                                                        {"spy", "spi"},
                                                        {"rationally", "ration"},
                                                        {"relational", "relat"},
                                                        {"conditional", "condit"},
                                                        {"valency", "valenc"},
                                                        {"digitizer", "digit"},
                                                        {"radically", "radic"},
                                                        {"conformably", "conform"},
                                                        {"differently", "differ"},
                                                        {"vilely", "vile"},
                                                        {"operator", "oper"},
                                                        {"feudalism", "feudal"},
                                                        {"decisiveness", "decis"},
                                                        {"callousness", "callous"},
                                                        {"formality", "formal"},
                                                        {"sensitivity", "sensit"},
                                                        {"sensibility", "sensibl"},
                                                        {"hopefully", "hope"},
                                                        {"archaeology", "archaeolog"},
                                                        {"triplicate", "triplic"},
                                                        {"formative", "form"},
                                                        {"electrical", "electr"},
                                                        {"goodness", "good"},
                                                        {"revival", "reviv"},
                                                        {"allowance", "allow"},
                                                        {"inference", "infer"},
                                                        {"airliner", "airlin"},
                                                        {"gyroscopic", "gyroscop"},
                                                        {"adjustable", "adjust"},
                                                        {"irritant", "irrit"},
                                                        {"replacement", "replac"},
                                                        {"adjustment", "adjust"},
                                                        {"dependent", "depend"},
                                                        {"adoption", "adopt"},
                                                        {"homologous", "homolog"},
                                                        {"communism", "commun"},
                                                        {"activate", "activ"},
                                                        {"angularity", "angular"},
                                                        {"effective", "effect"},
                                                        {"bowdlerize", "bowdler"},
                                                        {"probate", "probat"},
                                                        {"rate", "rate"},
                                                        {"cease", "ceas"},
                                                        {"controlling", "control"},
                                                        {"roll", "roll"},
                                                        {"yyyyed", "yyyi"},
                                                        {"syzygy", "syzygi"},
                                                        {"2nds", "2nd"},
                                                        {"caresses", "caress"},
                                                        {"innings", "inning"},
                                                        {"owed", "owe"},
                                                        {"goes", "goe"},
                                                        {"generalizations", "gener"},
                                                        {"ions", "ion"},
                                                        {"vietnamization", "vietnam"}};
  for (const auto& [word, stem] : kWords) EXPECT_EQ(PorterStem(word), stem) << word;
}

TEST(PorterStemTest, ShortWordsStayAsTheyAre) {
  EXPECT_EQ(PorterStem(""), "");
  EXPECT_EQ(PorterStem("s"), "s");
  EXPECT_EQ(PorterStem("is"), "is");
}

}  // namespace porter_stemmer_test
}  // namespace mellow::eval
