#include "common/rl/step_stats.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

TEST(AddBatchStatsTest, SumsByRowAndAveragesOverRows) {
  const MaskRows mask = {{1, 1}, {1, 0}};
  const Rows old = {{-1, -2}, {-3, -100}};
  const Rows reference = {{-1.5f, -2}, {-2, -100}};
  const Rows penalties = {{0.5f, 0}, {1, 50}};
  const Rows non_score = {{-0.1f, 0}, {-0.2f, -9}};
  const std::vector<float> scores = {1, 3};
  Stats stats;
  AddBatchStats({.mask = &mask,
                 .old_logprobs = &old,
                 .reference_logprobs = &reference,
                 .penalties = &penalties,
                 .non_score = &non_score,
                 .scores = scores,
                 .query_lengths = {4, 6},
                 .response_lengths = {2, 2},
                 .kl_coef = 0.2},
                &stats);
  EXPECT_DOUBLE_EQ(stats["objective/kl"], 0.75);
  EXPECT_DOUBLE_EQ(stats["objective/kl_k1"], -0.25);
  EXPECT_NEAR(stats["objective/kl_k3"], (std::exp(-0.5) - 0.5 + std::exp(1.0) - 2) / 2, 1e-6);
  EXPECT_DOUBLE_EQ(stats["objective/entropy"], 3);
  EXPECT_NEAR(stats["ppo/mean_non_score_reward"], -0.1, 1e-7);
  EXPECT_DOUBLE_EQ(stats["ppo/mean_scores"], 2);
  EXPECT_DOUBLE_EQ(stats["ppo/std_scores"], std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(stats["tokens/queries_len_mean"], 5);
  EXPECT_EQ(stats["tokens/responses_len_std"], 0);
  EXPECT_EQ(stats["tokens/counted"], 3);
}

TEST(AddLossStatsTest, WeighsMiniBatchesTheSame) {
  Stats stats;
  AddLossStats({LossStats{.policy_loss = 1, .returns_var = 2, .value_error = 1},
                LossStats{.policy_loss = 3, .returns_var = 6, .value_error = 3}},
               &stats);
  EXPECT_EQ(stats["ppo/loss/policy"], 2);
  EXPECT_EQ(stats["ppo/val/var_explained"], 0.5);
}

}  // namespace
}  // namespace mellow::rl
