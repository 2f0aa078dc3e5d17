#include "common/adapters/module_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/json/fields.h"

namespace mellow::adapters {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSelf0[] = "decoder.block.0.layer.0.SelfAttention.q";
constexpr char kSelf1[] = "decoder.block.1.layer.0.SelfAttention.q";
constexpr char kCross0[] = "decoder.block.0.layer.1.EncDecAttention.q";
constexpr char kCross1[] = "decoder.block.1.layer.1.EncDecAttention.q";
constexpr char kWo[] = "decoder.block.1.layer.2.DenseReluDense.wo";

ModuleRules Rules(const std::string& text) {
  const json::Value object = *json::Parse(text, "test");
  json::FieldReader fields(object, "test");
  ModuleRules rules(&fields);
  EXPECT_TRUE(fields.Finish().ok()) << fields.Finish();
  return rules;
}

// "11001": which of the five modules are chosen.
std::string Chosen(const std::string& text) {
  const ModuleRules rules = Rules(text);
  std::string chosen;
  for (const char* module : {kSelf0, kSelf1, kCross0, kCross1, kWo})
    chosen += rules.WhyNotChosen(module).empty() ? '1' : '0';
  return chosen;
}

TEST(ModuleRulesTest, ChoosesAsPeftDoes) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"({"target_modules": ["q"]})", "11110"},
      {R"({"target_modules": ["EncDecAttention.q", "wo"]})", "00111"},
      {R"({"target_modules": ["Attention.q"]})", "00000"},
      {R"({"target_modules": ["decoder.block.0.layer.0.SelfAttention.q"]})", "10000"},
      {R"({"target_modules": "all-linear"})", "11111"},
      {R"({"target_modules": "All-Linear"})", "11111"},
      {R"({"target_modules": ".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$"})", "11110"},
      // A regular expression must match all of the name.
      {R"({"target_modules": "block.0.*"})", "00000"},
      {R"({"target_modules": "decoder\\.block\\.[1-9]\\..*"})", "01011"},
      {R"({"target_modules": ["q", "wo"], "exclude_modules": ["SelfAttention.q"]})", "00111"},
      {R"({"target_modules": ["q", "wo"], "exclude_modules": ".*\\.1\\..*"})", "10000"},
      {R"({"target_modules": "all-linear", "exclude_modules": ["wo"]})", "11110"},
      // Without a pattern versions differ: the block's index or the layer's, so either is taken.
      {R"({"target_modules": ["q", "wo"], "layers_to_transform": [2]})", "00001"},
      {R"({"target_modules": ["q"], "layers_to_transform": 0})", "11100"},
      {R"({"target_modules": ["q", "wo"], "layers_to_transform": [1], "layers_pattern": "block"})",
       "01011"},
      {R"({"target_modules": ["q", "wo"], "layers_to_transform": [0, 1],
           "layers_pattern": ["h", "block"]})",
       "11111"},
      {R"({"target_modules": ["q"], "layers_to_transform": [7]})", "00000"},
      {R"({"target_modules": ["q"], "layers_to_transform": []})", "11110"},
      // A module that is named in full is adapted whatever its layer.
      {R"({"target_modules": ["decoder.block.0.layer.0.SelfAttention.q"],
           "layers_to_transform": [5]})",
       "10000"},
  };
  for (const auto& [text, chosen] : kCases) EXPECT_EQ(Chosen(text), chosen) << text;
}

TEST(ModuleRulesTest, SaysWhyNot) {
  const ModuleRules rules = Rules(
      R"({"target_modules": ["q"], "exclude_modules": ["EncDecAttention.q"],
          "layers_to_transform": [0], "layers_pattern": "block"})");
  EXPECT_EQ(rules.WhyNotChosen(kWo), "is not among target_modules");
  EXPECT_EQ(rules.WhyNotChosen(kCross0), "is among exclude_modules");
  EXPECT_EQ(rules.WhyNotChosen(kSelf1), "is in none of layers_to_transform");
  EXPECT_THAT(Rules(R"({"target_modules": "all-linear"})").WhyNotChosen("lm_head"),
              HasSubstr("all-linear"));
}

TEST(ModuleRulesTest, OnlyAListAloneIsKept) {
  EXPECT_THAT(Rules(R"({"target_modules": ["v", "q"]})").plain_targets(), ElementsAre("q", "v"));
  for (const char* text :
       {R"({"target_modules": ".*q"})", R"({"target_modules": "all-linear"})",
        R"({"target_modules": ["q"], "exclude_modules": ["v"]})",
        R"({"target_modules": ["q"], "layers_to_transform": [0], "layers_pattern": "block"})"})
    EXPECT_TRUE(Rules(text).plain_targets().empty()) << text;
}

struct Fit {
  double alpha = 0;
  std::string problem;
};

Fit AlphaOf(const std::string& patterns, const std::string& module, int64_t rank) {
  Fit fit;
  fit.alpha = Rules("{\"target_modules\": [\"q\", \"wo\"], " + patterns + "}")
                  .AlphaOf(module, rank, 4, 8, &fit.problem);
  return fit;
}

TEST(ModuleRulesTest, RanksAndAlphasGoByTheFirstKeyThatMatches) {
  const char kBoth[] = R"("rank_pattern": {"EncDecAttention.q": 2, "q": 3},
                          "alpha_pattern": {"EncDecAttention.q": 20, "q": 30})";
  EXPECT_EQ(AlphaOf(kBoth, kCross0, 2).alpha, 20);
  EXPECT_EQ(AlphaOf(kBoth, kSelf0, 3).alpha, 30);
  EXPECT_EQ(AlphaOf(kBoth, kWo, 4).alpha, 8);
  EXPECT_EQ(AlphaOf(kBoth, kSelf0, 2).problem, "do not fit r 3");
  const char kOrder[] = R"("alpha_pattern": {"q": 30, "EncDecAttention.q": 20})";
  EXPECT_EQ(AlphaOf(kOrder, kCross0, 4).alpha, 30);
  const char kRegex[] = R"("alpha_pattern": {"block\\.1\\..*\\.q": 5})";
  EXPECT_EQ(AlphaOf(kRegex, kSelf1, 4).alpha, 5);
  EXPECT_EQ(AlphaOf(kRegex, kSelf0, 4).alpha, 8);
  const char kFull[] = R"("alpha_pattern": {"decoder.block.1.layer.0.SelfAttention.q": 5})";
  EXPECT_EQ(AlphaOf(kFull, kSelf1, 4).alpha, 5);
  EXPECT_EQ(AlphaOf(kFull, kSelf0, 4).alpha, 8);
}

// PEFT 0.13 looks a module up once, in both patterns together, and never at the beginning of a
// name; 0.21 looks twice and takes a key that begins with ^.
TEST(ModuleRulesTest, WhereVersionsDifferTheRanksDecideOrTheVersion) {
  const char kApart[] = R"("rank_pattern": {"SelfAttention.q": 2}, "alpha_pattern": {"q": 30})";
  EXPECT_THAT(AlphaOf(kApart, kSelf0, 2).problem, HasSubstr("lora_alpha 8 or 30"));
  EXPECT_EQ(AlphaOf(kApart, kCross0, 4).alpha, 30);
  const std::string said = std::string(kApart) + R"(, "peft_version": "0.21.2")";
  EXPECT_EQ(AlphaOf(said, kSelf0, 2).alpha, 30);
  const char kAnchored[] =
      R"("rank_pattern": {"^decoder.block.0.layer.0.SelfAttention.q": 2},
         "alpha_pattern": {"^decoder.block.0.layer.0.SelfAttention.q": 6})";
  EXPECT_EQ(AlphaOf(kAnchored, kSelf0, 2).alpha, 6);  // 0.21
  EXPECT_EQ(AlphaOf(kAnchored, kSelf0, 4).alpha, 8);  // 0.13
  EXPECT_EQ(AlphaOf(kAnchored, kSelf1, 2).problem, "do not fit r 4");
}

TEST(ModuleRulesTest, TheWorkIsBounded) {
  const ModuleRules rules = Rules(R"({"target_modules": ["q"], "rank_pattern": {"q": 2, "v": 3}})");
  EXPECT_EQ(rules.WhyTooMany(1000), "");
  EXPECT_THAT(rules.WhyTooMany(10'000'000), HasSubstr("more than"));
  // What takes a backtracking matcher longer than the universe has been there.
  const std::string evil = R"({"target_modules": "(a+)+(a+)+(a+)+(a+)+$"})";
  EXPECT_NE(Rules(evil).WhyNotChosen(std::string(100'000, 'a') + "b"), "");
}

}  // namespace
}  // namespace mellow::adapters
