// The texts that TRL's notebook lets its classifier score, and its logits, as transformers has them
// (golden/notebook.json, by make_notebook_golden.py).

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/nn/load.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/evaluate/judged_text.h"
#include "services/orchestrator/rollouts/reward_text.h"
#include "tests/testing/source_tree.h"

namespace mellow {
namespace {

constexpr float kTolerance = 1e-4f;

TEST(NotebookParityTest, TextsAndLogitsAreThoseOfTransformers) {
  const auto policy = text::LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
  const std::string folder = SourceTree("/deploy/models/mini-toxicity");
  const auto tokenizer = text::LoadTokenizer(folder);
  const auto judge = nn::LoadSequenceClassifier(folder, {});
  ASSERT_TRUE(policy.ok() && tokenizer.ok() && judge.ok());
  const auto golden =
      nlohmann::json::parse(*ReadFile(SourceTree("/tests/parity/golden/notebook.json")));
  const orchestrator::RewardConfig reward{.text_template = "{query}{response}",
                                          .keep_special_tokens = true};
  const std::string scoring = cli::ScoringsFor("{query} {response}", true)->front();
  int with_start = 0;
  for (const auto& row : golden["rows"]) {
    const auto wanted = row["text"].get<std::string>();
    if (row.contains("query_ids")) {
      orchestrator::Rollout rollout;
      rollout.query_ids = row["query_ids"].get<std::vector<int32_t>>();
      rollout.response_ids = row["response_ids"].get<std::vector<int32_t>>();
      const auto query = (*policy)->Decode(rollout.query_ids, false);
      const auto summary = (*policy)->Decode(rollout.response_ids, true);
      ASSERT_TRUE(query.ok() && summary.ok());
      const auto text =
          row["evaluation"].get<bool>()
              ? cli::JudgedText(scoring, {"", *query, *summary})
              : *orchestrator::RewardText(reward, **policy, /*decoder_start_token_id=*/0, rollout,
                                          row["max_new_tokens"].get<int>());
      EXPECT_EQ(text, wanted);
      with_start += wanted.find("<pad> ") != std::string::npos;
    }
    const auto ids = (*tokenizer)->Encode(wanted);
    ASSERT_TRUE(ids.ok());
    const std::vector<std::vector<int32_t>> batch = {*ids};
    const auto logits = (*judge)->Classify(batch);
    ASSERT_TRUE(logits.ok()) << logits.status();
    for (size_t i = 0; i < 2; ++i)
      EXPECT_NEAR((*logits)[0][i], row["logits"][i].get<float>(), kTolerance) << wanted;
  }
  EXPECT_EQ(with_start, 4) << "half of the reward texts fill their limit";
}

}  // namespace
}  // namespace mellow
