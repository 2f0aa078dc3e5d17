// The files of the DialogSum notebook's run, field by field. What it does is in the tables below,
// so a field that changes, goes or comes without a reason that stands there fails.

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "services/cli/files/evaluation_file.h"
#include "services/cli/files/run_file.h"
#include "tests/testing/source_tree.h"

namespace mellow::cli {
namespace {

using Facts = std::map<std::string, std::string>;  // "data.limit" -> "11"

constexpr char kRun[] = "/deploy/runs/dialogsum-flan-t5-base.json";
constexpr char kEvaluation[] = "/deploy/runs/dialogsum-flan-t5-base-eval.json";
constexpr char kLarge[] = "/deploy/runs/dialogsum-flan-t5-base-eval-large.json";
constexpr char kSft[] = "/deploy/runs/dialogsum-flan-t5-base-sft.json";

void Flatten(const nlohmann::json& json, const std::string& path, Facts* out) {
  if (!json.is_object()) {
    (*out)[path] = json.dump();
    return;
  }
  for (const auto& [key, value] : json.items())
    Flatten(value, path.empty() ? key : absl::StrCat(path, ".", key), out);
}

Facts FactsOf(const std::string& file) {
  Facts facts;
  Flatten(nlohmann::json::parse(*ReadFile(SourceTree(file))), "", &facts);
  facts.erase("name");
  return facts;
}

Facts With(Facts facts, const Facts& more) {
  facts.insert(more.begin(), more.end());
  return facts;
}

// knkarthick/dialogsum, its train split; more than 200 and at most 1,000 characters; 80/20 without
// shuffling (no split_seed); the notebook's prompt.
const Facts kData = {
    {"data.path", R"("dialogsum/train.csv")"},
    {"data.prompt_template",
     R"("\nSummarize the following conversation.\n\n{dialogue}\n\nSummary:\n")"},
    {"data.min_chars", "200"},
    {"data.max_chars", "1000"},
    {"data.train_fraction", "0.8"},
};

TEST(NotebookFactsTest, TheRun) {
  EXPECT_EQ(
      FactsOf(kRun),
      With(kData, {
                      {"data.filter_column", R"("dialogue")"},
                      {"steps", "10"},
                      {"seed", "0"},  // PPOConfig's
                      // Sampling; min_length 5 counts the start token. max_new_tokens is drawn from
                      // 100 to 399: the upper bound is exclusive.
                      {"generation.sampling.do_sample", "true"},
                      {"generation.sampling.top_k", "0"},
                      {"generation.sampling.top_p", "1.0"},
                      {"generation.sampling.min_new_tokens", "4"},
                      {"generation.length_sampler_min", "100"},
                      {"generation.length_sampler_max", "400"},
                      // The raw logit of "nothate", of query + response, special tokens as decoded.
                      {"reward.label", R"("nothate")"},
                      {"reward.toxic_label", R"("hate")"},
                      {"reward.text_template", R"("{query}{response}")"},
                      {"reward.keep_special_tokens", "true"},
                      {"ppo.learning_rate", "1.41e-05"},
                      {"ppo.batch_size", "16"},
                      {"ppo.mini_batch_size", "4"},
                      {"ppo.ppo_epochs", "1"},
                      {"ppo.trl_compat", "true"},       // everything else as TRL 0.11.3 does it
                      {"ppo.reference", R"("start")"},  // what the notebook means
                      // The shape of the notebook's adapter: 3,538,944 parameters on flan-t5-base.
                      {"ppo.lora.r", "32"},
                      {"ppo.lora.lora_alpha", "32"},
                      {"ppo.lora.lora_dropout", "0.05"},
                      {"ppo.lora.target_modules", R"(["q","v"])"},
                  }));
  const auto spec = LoadRunFile(SourceTree(kRun), {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  // No limit of the notebook's own: the prompt is tokenized whole.
  EXPECT_FALSE(spec->data().has_max_source_tokens());
}

TEST(NotebookFactsTest, ItsEvaluation) {
  EXPECT_EQ(FactsOf(kEvaluation),
            With(kData, {
                            {"data.limit", "11"},
                            {"arms", R"(["start","newest"])"},  // before and after
                            // No minimum length.
                            {"sampling.do_sample", "true"},
                            {"sampling.top_k", "0"},
                            {"sampling.top_p", "1.0"},
                            {"sampling.max_new_tokens", "100"},
                            // P(hate) of the decoded query, its </s> included, a blank, and the
                            // summary without special tokens.
                            {"reward.label", R"("nothate")"},
                            {"reward.toxic_label", R"("hate")"},
                            {"reward.text_template", R"("{query} {response}")"},
                            {"reward.keep_query_special_tokens", "true"},
                            {"stemmer", "true"},  // of its ROUGE
                        }));
  ASSERT_TRUE(LoadEvaluationFile(SourceTree(kEvaluation), {}).ok());
}

// What eleven prompts cannot tell: most of the held-out rows, and the summary alone judged first.
TEST(NotebookFactsTest, TheLargeEvaluation) {
  EXPECT_EQ(FactsOf(kLarge), With(kData, {
                                             {"data.limit", "1500"},
                                             {"arms", R"(["start","newest"])"},
                                             {"sampling.do_sample", "true"},
                                             {"sampling.max_new_tokens", "100"},
                                             {"stemmer", "true"},
                                         }));
  ASSERT_TRUE(LoadEvaluationFile(SourceTree(kLarge), {}).ok());
}

// What it starts from, as far as the course tells how it was made: the shape, the data, one epoch.
TEST(NotebookFactsTest, ItsAdapter) {
  const Facts facts = FactsOf(kSft);
  for (const auto& [field, value] : With(kData, {{"lora.r", "32"},
                                                 {"lora.lora_alpha", "32"},
                                                 {"lora.lora_dropout", "0.05"},
                                                 {"lora.target_modules", R"(["q","v"])"},
                                                 {"optimizer.learning_rate", "0.001"},
                                                 {"epochs", "1"}})) {
    const auto found = facts.find(field);
    ASSERT_TRUE(found != facts.end()) << field;
    EXPECT_EQ(found->second, value) << field;
  }
}

}  // namespace
}  // namespace mellow::cli
