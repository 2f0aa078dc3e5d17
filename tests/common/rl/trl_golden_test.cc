// Every case of trl_golden.json: numbers that TRL 0.11.3's own functions gave (make_trl_golden.py).

#include <fstream>
#include <string>

#include "common/rl/advantages.h"
#include "common/rl/kl_controller.h"
#include "common/rl/losses.h"
#include "common/rl/masked.h"
#include "common/rl/numpy_random.h"
#include "common/rl/rewards.h"
#include "common/rl/running_moments.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"

namespace mellow::rl {
namespace {

using Json = nlohmann::json;

// TRL computes in fp32 and we in double: what remains is its rounding.
constexpr double kTolerance = 2e-5;

class TrlGoldenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(mellow::SourceTree("/tests/common/rl/trl_golden.json"));
    ASSERT_TRUE(file);
    golden_ = Json::parse(file);
    const Json& inputs = golden_["inputs"];
    mask_ = inputs["mask"].get<MaskRows>();
    logprobs_ = inputs["logprobs"].get<Rows>();
    reference_ = inputs["ref_logprobs"].get<Rows>();
    values_ = inputs["values"].get<Rows>();
    scores_ = inputs["scores"].get<std::vector<float>>();
    width_ = static_cast<int>(mask_[0].size());
  }

  static void ExpectNear(const Rows& got, const Json& want, const std::string& what) {
    ASSERT_EQ(got.size(), want.size()) << what;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].size(), want[i].size()) << what;
      for (size_t t = 0; t < got[i].size(); ++t)
        EXPECT_NEAR(got[i][t], want[i][t].get<double>(), kTolerance)
            << what << " " << i << " " << t;
    }
  }

  // Only where the mask counts: elsewhere we hold zeros on purpose.
  void ExpectCountedNear(const Rows& got, const Json& want, const std::string& what) const {
    for (size_t i = 0; i < mask_.size(); ++i) {
      for (size_t t = 0; t < mask_[i].size(); ++t) {
        if (mask_[i][t] != 0) {
          EXPECT_NEAR(got[i][t], want[i][t].get<double>(), kTolerance)
              << what << " " << i << " " << t;
        }
      }
    }
  }

  Json golden_;
  MaskRows mask_;
  Rows logprobs_, reference_, values_;
  std::vector<float> scores_;
  int width_ = 0;  // of the padded rows
};

TEST_F(TrlGoldenTest, RewardsAdvantagesAndReturnsAgree) {
  for (const Json& c : golden_["rewards"]) {
    const KlPenalty mode = *ParseKlPenalty(c["kl_penalty"].get<std::string>());
    const Rows penalties = TokenPenalties(mode, logprobs_, reference_);
    ExpectNear(penalties, c["kls"], "kls");
    const TokenRewards r = ComputeRewards(penalties, scores_, c["kl_coef"].get<double>(), mask_);
    ExpectNear(r.rewards, c["rewards"], "rewards");
    ExpectNear(r.non_score, c["non_score"], "non_score");
    const Advantages a = ComputeAdvantages(values_, r.rewards, mask_,
                                           {.gamma = c["gamma"],
                                            .lam = c["lam"],
                                            .whiten_rewards = c["whiten_rewards"],
                                            .whitened_padding = true,
                                            .padded_width = width_});
    ExpectNear(a.values, c["values_masked"], "values");
    ExpectCountedNear(a.advantages, c["advantages"], "advantages");
    ExpectCountedNear(a.returns, c["returns"], "returns");
  }
}

TEST_F(TrlGoldenTest, WhitenedPaddingOfRaggedRowsAgreesWithPaddedRows) {
  MaskRows mask = mask_;
  Rows values = values_, rewards;
  for (const Json& c : golden_["rewards"]) {
    rewards = c["rewards"].get<Rows>();
    mask = mask_;
    values = values_;
    for (size_t i = 0; i < mask.size(); ++i) {
      const size_t length = golden_["inputs"]["response_lens"][i].get<size_t>() - 1;
      mask[i].resize(length);
      values[i].resize(length);
      rewards[i].resize(length);
    }
    const Advantages a = ComputeAdvantages(values, rewards, mask,
                                           {.gamma = c["gamma"],
                                            .lam = c["lam"],
                                            .whiten_rewards = c["whiten_rewards"],
                                            .whitened_padding = true,
                                            .padded_width = width_});
    for (size_t i = 0; i < mask.size(); ++i) {
      for (size_t t = 0; t < mask[i].size(); ++t) {
        if (mask[i][t] == 0) continue;
        EXPECT_NEAR(a.returns[i][t], c["returns"][i][t].get<double>(), kTolerance);
        EXPECT_NEAR(a.advantages[i][t], c["advantages"][i][t].get<double>(), kTolerance);
      }
    }
  }
}

TEST_F(TrlGoldenTest, LossesAndGradientsAgree) {
  const Json& first = golden_["rewards"][0];
  const Json& want = golden_["loss"];
  const Rows advantages = first["advantages"].get<Rows>();
  const Rows returns = first["returns"].get<Rows>();
  const Rows old_values = first["values_masked"].get<Rows>();
  const Rows new_logprobs = want["new_logprobs"].get<Rows>();
  const Rows new_values = want["vpreds"].get<Rows>();
  Rows entropies(mask_.size());
  for (size_t i = 0; i < mask_.size(); ++i) {
    for (const Json& logits : want["logits"][i]) {
      double sum = 0, weighted = 0;
      for (const double z : logits) sum += std::exp(z);
      for (const double z : logits) weighted += std::exp(z) / sum * z;
      entropies[i].push_back(static_cast<float>(std::log(sum) - weighted));
    }
  }
  const Losses got = ComputeLosses({.mask = &mask_,
                                    .old_logprobs = &logprobs_,
                                    .new_logprobs = &new_logprobs,
                                    .old_values = &old_values,
                                    .new_values = &new_values,
                                    .advantages = &advantages,
                                    .returns = &returns,
                                    .entropies = &entropies},
                                   {});
  const auto n = static_cast<float>(CountMask(mask_));
  Rows d_logprobs = got.d_logprobs, d_values = got.d_values;
  for (Rows* rows : {&d_logprobs, &d_values}) {
    for (auto& row : *rows) {
      for (float& x : row) x /= n;
    }
  }
  ExpectNear(d_logprobs, want["grad_new_logprobs"], "grad_new_logprobs");
  ExpectNear(d_values, want["grad_vpreds"], "grad_vpreds");

  const LossStats& s = got.stats;
  EXPECT_NEAR(s.policy_loss, want["pg_loss"].get<double>(), kTolerance);
  EXPECT_NEAR(0.1 * s.value_loss, want["vf_loss_times_coef"].get<double>(), kTolerance);
  const std::map<std::string, double> stats = {{"loss/policy", s.policy_loss},
                                               {"loss/value", s.value_loss},
                                               {"loss/total", s.total_loss},
                                               {"policy/entropy", s.entropy},
                                               {"policy/approxkl", s.approx_kl},
                                               {"policy/policykl", s.policy_kl},
                                               {"policy/clipfrac", s.policy_clip_fraction},
                                               {"policy/advantages_mean", s.advantages_mean},
                                               {"returns/mean", s.returns_mean},
                                               {"returns/var", s.returns_var},
                                               {"val/vpred", s.value_prediction},
                                               {"val/error", s.value_error},
                                               {"val/clipfrac", s.value_clip_fraction},
                                               {"val/mean", s.old_value_mean},
                                               {"val/var", s.old_value_var}};
  for (const auto& [name, value] : stats)
    EXPECT_NEAR(value, want["stats"][name].get<double>(), kTolerance) << name;
}

TEST_F(TrlGoldenTest, RunningMomentsAgree) {
  RunningMoments moments;
  for (const Json& c : golden_["running_moments"]) {
    PpoConfig config;
    config.use_score_scaling = true;
    const auto batch = c["batch"].get<std::vector<float>>();
    RunningMoments copy = moments;
    const std::vector<float> scaled = *ProcessScores(batch, config, &moments);
    config.use_score_norm = true;
    const std::vector<float> normed = *ProcessScores(batch, config, &copy);
    EXPECT_NEAR(moments.mean, c["mean"].get<double>(), kTolerance);
    EXPECT_NEAR(moments.std, c["std"].get<double>(), kTolerance);
    EXPECT_NEAR(moments.var, c["var"].get<double>(), kTolerance);
    EXPECT_NEAR(moments.count, c["count"].get<double>(), kTolerance);
    for (size_t i = 0; i < batch.size(); ++i) {
      EXPECT_NEAR(scaled[i], c["scaled"][i].get<double>(), kTolerance);
      EXPECT_NEAR(normed[i], c["scaled_normed"][i].get<double>(), kTolerance);
    }
  }
}

TEST_F(TrlGoldenTest, AdaptiveKlCoefficientAgrees) {
  KlController controller{PpoConfig{}};
  for (const Json& c : golden_["adaptive_kl"]) {
    controller.Update(c["objective_kl"], c["n_steps"]);
    EXPECT_NEAR(controller.value(), c["kl_coef_after"].get<double>(), 1e-9);
  }
}

TEST_F(TrlGoldenTest, NumpyPermutationsAgree) {
  const Json& want = golden_["numpy"];
  const auto seed = want["seed"].get<uint32_t>();
  NumpyRandom random(seed);
  for (const Json& permutation : want["permutation_16_three_times"])
    EXPECT_EQ(random.Permutation(16), permutation.get<std::vector<int>>());
  NumpyRandom interleaved(seed);
  EXPECT_EQ(100 + interleaved.Bounded(299), want["interleaved"][0].get<uint32_t>());
  EXPECT_EQ(interleaved.Permutation(8), want["interleaved"][1].get<std::vector<int>>());
  EXPECT_EQ(100 + interleaved.Bounded(299), want["interleaved"][2].get<uint32_t>());
}

}  // namespace
}  // namespace mellow::rl
