#include "common/rl/ppo_trainer.h"

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/nn/generation/generate.h"
#include "common/nn/load.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::rl {
namespace ppo_trainer_test {

using ::testing::Each;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

const std::string kModel = mellow::SourceTree("/tests/parity/golden/ppo/gated");
const std::string kAdapter = mellow::SourceTree("/tests/parity/golden/ppo/gated-qv");

PpoConfig SmallConfig() {
  PpoConfig config;
  config.batch_size = 4;
  config.mini_batch_size = 2;
  config.ppo_epochs = 2;
  config.learning_rate = 1e-3;
  config.seed = 11;
  return config;
}

std::vector<Rollout> MakeRollouts(uint32_t seed, int count = 4) {
  std::mt19937 random(seed);
  const auto ids = [&](int n) {
    std::vector<int32_t> out(static_cast<size_t>(n));
    for (int32_t& id : out) id = static_cast<int32_t>(2 + random() % 90);
    out.push_back(1);
    return out;
  };
  std::vector<Rollout> rollouts;
  for (int i = 0; i < count; ++i) {
    rollouts.push_back({.query_ids = ids(3 + static_cast<int>(random() % 12)),
                        .response_ids = ids(1 + static_cast<int>(random() % 9)),
                        .score = static_cast<float>(random() % 100) / 50.0f - 1.0f});
  }
  return rollouts;
}

std::unique_ptr<PpoTrainer> MakeTrainer(const PpoConfig& config, bool fresh = false) {
  std::optional<nn::LoraWeights> start;
  if (!fresh) start = *adapters::ReadPeftFolder(kAdapter);
  auto trainer = PpoTrainer::Create(kModel, config, start, {.threads = 1});
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return trainer.ok() ? std::move(*trainer) : nullptr;
}

std::string HashOf(const PpoTrainer& trainer) { return adapters::ContentHash(trainer.Adapter()); }

TEST(PpoTrainerTest, FirstStepFromTheStartingAdapterHasNoKlAtAll) {
  for (const KlPenalty mode : {KlPenalty::kKl, KlPenalty::kFull}) {
    PpoConfig config = SmallConfig();
    config.kl_penalty = mode;
    auto trainer = MakeTrainer(config);
    const auto first = trainer->Step(MakeRollouts(1));
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_EQ(first->stats.at("objective/kl"), 0);
    EXPECT_EQ(first->stats.at("objective/kl_k3"), 0);
    const auto second = trainer->Step(MakeRollouts(2));
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_GT(second->stats.at("objective/kl_k3"), 0);
    EXPECT_EQ(second->step, 2);
  }
}

TEST(PpoTrainerTest, WhatThePolicySampledHasNoKlAndRatiosOfExactlyOne) {
  nn::LoadOptions options;
  options.threads = 2;
  auto policy = nn::LoadSeq2SeqModel(kModel, options);
  ASSERT_TRUE(policy.ok()) << policy.status();
  const auto adapter = (*policy)->Prepare(*adapters::ReadPeftFolder(kAdapter));
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  std::vector<Rollout> rollouts = MakeRollouts(1);
  std::vector<nn::GenerateItem> items;
  for (const Rollout& r : rollouts) {
    nn::GenerateItem& item = items.emplace_back();
    item.source_ids = r.query_ids;
    item.params.do_sample = true;
    item.params.max_new_tokens = 12;
    item.stream.prompt_index = items.size();
    item.adapter = adapter->get();
  }
  const auto sampled = nn::Generate(**policy, items);
  ASSERT_TRUE(sampled.ok()) << sampled.status();
  for (size_t i = 0; i < rollouts.size(); ++i) {
    rollouts[i].response_ids = (*sampled)[i].ids;
    rollouts[i].behavior_logprobs = (*sampled)[i].logprobs;
  }
  PpoConfig config = SmallConfig();
  config.ppo_epochs = 1;
  config.mini_batch_size = 4;
  const auto step = MakeTrainer(config)->Step(rollouts);
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(step->stats.at("objective/kl"), 0);
  EXPECT_EQ(step->stats.at("objective/kl_k3"), 0);
  EXPECT_EQ(step->stats.at("ppo/policy/ratio_mean"), 1);
}

TEST(PpoTrainerTest, ReferenceBaseComparesWithTheBareModel) {
  PpoConfig config = SmallConfig();
  config.reference = Reference::kBase;
  auto trainer = MakeTrainer(config);
  const auto first = trainer->Step(MakeRollouts(1));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(first->stats.at("objective/kl_k3"), 0.01);
  EXPECT_TRUE(trainer->ReferenceAdapter().modules.empty());
}

TEST(PpoTrainerTest, AFreshAdapterStartsAsTheBaseModelAndDependsOnTheSeedOnly) {
  PpoConfig config = SmallConfig();
  config.lora = nn::LoraConfig{.r = 3, .lora_alpha = 6, .target_modules = {"q", "wo"}};
  auto a = MakeTrainer(config, /*fresh=*/true);
  auto b = MakeTrainer(config, /*fresh=*/true);
  EXPECT_EQ(HashOf(*a), HashOf(*b));
  config.seed = 12;
  EXPECT_NE(HashOf(*a), HashOf(*MakeTrainer(config, /*fresh=*/true)));
  for (const auto& [name, pair] : a->Adapter().modules) {
    EXPECT_THAT(pair.b.ToFloat32(), Each(0.0f)) << name;
    EXPECT_EQ(pair.a.shape[0], 3);
  }
  config.reference = Reference::kBase;
  const auto step = MakeTrainer(config, /*fresh=*/true)->Step(MakeRollouts(1));
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_NEAR(step->stats.at("objective/kl_k3"), 0, 1e-6);
}

TEST(PpoTrainerTest, ResumeGoesOnBitForBit) {
  PpoConfig config = SmallConfig();
  config.use_score_scaling = true;
  config.max_grad_norm = 0.5;
  auto straight = MakeTrainer(config);
  for (uint32_t s = 0; s < 4; ++s) ASSERT_TRUE(straight->Step(MakeRollouts(s)).ok());

  const testing::TempFolder folder;
  auto first = MakeTrainer(config);
  for (uint32_t s = 0; s < 2; ++s) ASSERT_TRUE(first->Step(MakeRollouts(s)).ok());
  ASSERT_TRUE(first->SaveState(folder.path()).ok());
  // Started from other weights: all that counts comes from the state.
  PpoConfig fresh = config;
  fresh.lora = nn::LoraConfig{.r = 4, .lora_alpha = 8, .target_modules = {"q", "v"}};
  auto second = MakeTrainer(fresh, /*fresh=*/true);
  const absl::Status restored = second->RestoreState(folder.path());
  ASSERT_TRUE(restored.ok()) << restored;
  EXPECT_EQ(second->step(), 2);
  for (uint32_t s = 2; s < 4; ++s) ASSERT_TRUE(second->Step(MakeRollouts(s)).ok());

  EXPECT_EQ(HashOf(*straight), HashOf(*second));
  EXPECT_EQ(straight->value_head().weight, second->value_head().weight);
  EXPECT_EQ(straight->value_head().bias, second->value_head().bias);
  EXPECT_EQ(straight->kl_coef(), second->kl_coef());
}

TEST(PpoTrainerTest, RestoreRefusesAStateThatDoesNotFitAndStaysAsItWas) {
  const testing::TempFolder folder;
  ASSERT_TRUE(MakeTrainer(SmallConfig())->SaveState(folder.path()).ok());
  PpoConfig other = SmallConfig();
  other.lora = nn::LoraConfig{.r = 2, .lora_alpha = 8, .target_modules = {"q"}};
  auto trainer = MakeTrainer(other, /*fresh=*/true);
  const std::string before = HashOf(*trainer);
  const absl::Status status = trainer->RestoreState(folder.path());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("lora_r"));
  EXPECT_EQ(HashOf(*trainer), before);

  ASSERT_TRUE(WriteFileAtomic(folder / "trainer.json", "{\"format\": 1}").ok());
  EXPECT_EQ(trainer->RestoreState(folder.path()).code(), absl::StatusCode::kDataLoss);
}

TEST(PpoTrainerTest, BehaviorLogProbsReplaceTheOldPass) {
  std::vector<Rollout> plain = MakeRollouts(3);
  auto trainer = MakeTrainer(SmallConfig());
  std::vector<ScoreRow> rows;
  for (const Rollout& r : plain) rows.push_back({r.query_ids, r.response_ids});
  const auto logprobs = trainer->ScoreTokens(rows, PpoTrainer::Which::kCurrent);
  ASSERT_TRUE(logprobs.ok()) << logprobs.status();
  std::vector<Rollout> given = plain;
  for (size_t i = 0; i < given.size(); ++i) given[i].behavior_logprobs = (*logprobs)[i];

  auto other = MakeTrainer(SmallConfig());
  const auto a = trainer->Step(plain);
  const auto b = other->Step(given);
  ASSERT_TRUE(a.ok() && b.ok()) << b.status();
  for (const char* key :
       {"ppo/loss/total", "ppo/policy/approxkl", "objective/entropy", "ppo/returns/mean"})
    EXPECT_NEAR(a->stats.at(key), b->stats.at(key), 1e-4) << key;
}

// What a policy engine computes beside sampling: with it the update is the same to the bit, and
// alone is computed.
class NumbersOfOthersTest : public ::testing::Test {
 protected:
  // Samples `count` responses with the trainer's weights; the rollouts have all numbers.
  std::vector<Rollout> Sample(const PpoTrainer& trainer, uint32_t seed) {
    const auto adapter = policy_->Prepare(trainer.Adapter());
    const auto reference = policy_->Prepare(trainer.ReferenceAdapter());
    EXPECT_TRUE(adapter.ok() && reference.ok());
    const ValueHead head = trainer.value_head();
    std::vector<Rollout> rollouts = MakeRollouts(seed);
    std::vector<nn::GenerateItem> items;
    for (const Rollout& r : rollouts) {
      nn::GenerateItem& item = items.emplace_back();
      item.source_ids = r.query_ids;
      item.params.do_sample = true;
      item.params.max_new_tokens = 10;
      item.stream.prompt_index = items.size();
      item.adapter = adapter->get();
      item.value_head = &head;
    }
    const auto sampled = nn::Generate(*policy_, items);
    EXPECT_TRUE(sampled.ok()) << sampled.status();
    for (size_t i = 0; i < rollouts.size(); ++i) {
      rollouts[i].response_ids = (*sampled)[i].ids;
      rollouts[i].behavior_logprobs = (*sampled)[i].logprobs;
      rollouts[i].values = (*sampled)[i].values;
      const auto scores = policy_->ScoreTokens(
          {{rollouts[i].query_ids, rollouts[i].response_ids, reference->get()}});
      EXPECT_TRUE(scores.ok()) << scores.status();
      rollouts[i].reference_logprobs = (*scores)[0];
    }
    return rollouts;
  }
  // The same steps with what `keep` leaves of the numbers of a step's rollouts; returns the hash
  // and the passes that were skipped.
  std::pair<std::string, std::vector<double>> Run(
      const PpoConfig& config, const std::function<void(std::vector<Rollout>*)>& keep) {
    auto trainer = MakeTrainer(config);
    std::vector<double> skipped;
    for (uint32_t step = 0; step < 3; ++step) {
      std::vector<Rollout> rollouts = Sample(*trainer, step);
      keep(&rollouts);
      const auto result = trainer->Step(rollouts);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) return {};
      skipped.push_back(result->stats.at("ppo/passes_skipped"));
    }
    return {HashOf(*trainer), skipped};
  }

  std::unique_ptr<nn::Seq2SeqModel> policy_ = *nn::LoadSeq2SeqModel(kModel, {.threads = 2});
};

TEST_F(NumbersOfOthersTest, TheUpdateIsTheSameWithAllSomeOrNoneOfThem) {
  for (const bool trl_compat : {false, true}) {
    PpoConfig config = SmallConfig();
    config.trl_compat = trl_compat;
    config.learning_rate = 1e-2;
    const auto none = Run(config, [](std::vector<Rollout>* rollouts) {
      for (Rollout& r : *rollouts) r.values = r.reference_logprobs = {};
    });
    EXPECT_THAT(none.second, Each(0));
    const auto all = Run(config, [](auto*) {});
    EXPECT_EQ(all.first, none.first);
    // Two passes of two mini-batches.
    EXPECT_THAT(all.second, Each(4));
    const auto some = Run(config, [](std::vector<Rollout>* rollouts) {
      (*rollouts)[1].values = {};
      (*rollouts)[2].reference_logprobs = {};
    });
    EXPECT_EQ(some.first, none.first);
    for (const double passes : some.second) EXPECT_GE(passes, 1);
  }
}

TEST_F(NumbersOfOthersTest, FullKlNeedsBothPassesAndGetsThem) {
  PpoConfig config = SmallConfig();
  config.kl_penalty = KlPenalty::kFull;
  const auto none = Run(config, [](std::vector<Rollout>* rollouts) {
    for (Rollout& r : *rollouts) r.values = r.reference_logprobs = {};
  });
  const auto all = Run(config, [](auto*) {});
  EXPECT_EQ(all.first, none.first);
  EXPECT_THAT(all.second, Each(0));
}

TEST_F(NumbersOfOthersTest, TheyAreUsedAsTheyAre) {
  PpoConfig config = SmallConfig();
  config.ppo_epochs = 1;
  const auto wrong = Run(config, [](std::vector<Rollout>* rollouts) {
    for (Rollout& r : *rollouts) r.values[0] += 0.5f;
  });
  EXPECT_NE(wrong.first, Run(config, [](auto*) {}).first);
  const auto reference = Run(config, [](std::vector<Rollout>* rollouts) {
    for (Rollout& r : *rollouts) r.reference_logprobs[0] += 0.5f;
  });
  EXPECT_NE(reference.first, Run(config, [](auto*) {}).first);
}

TEST(PpoTrainerTest, ScoresCanComeWithValues) {
  auto trainer = MakeTrainer(SmallConfig());
  const std::vector<Rollout> rollouts = MakeRollouts(3);
  std::vector<ScoreRow> rows = {{.query_ids = {5, 6, 1}, .response_ids = {}}};
  for (const Rollout& r : rollouts) rows.push_back({r.query_ids, r.response_ids});
  std::vector<std::vector<float>> values;
  ASSERT_TRUE(trainer->ScoreTokens(rows, PpoTrainer::Which::kCurrent, &values).ok());
  ASSERT_EQ(values.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(values[i].size(), rows[i].response_ids.size());
}

TEST(PpoTrainerTest, StaleRolloutsAreWeighedByTheTruncatedRatio) {
  auto trainer = MakeTrainer(SmallConfig());
  std::vector<Rollout> rollouts = MakeRollouts(3);
  std::vector<ScoreRow> rows;
  for (const Rollout& r : rollouts) rows.push_back({r.query_ids, r.response_ids});
  const auto logprobs = trainer->ScoreTokens(rows, PpoTrainer::Which::kCurrent);
  for (size_t i = 0; i < rollouts.size(); ++i) {
    rollouts[i].behavior_logprobs = (*logprobs)[i];
    for (float& logprob : rollouts[i].behavior_logprobs) logprob -= i % 2 == 0 ? 0.5f : 5.0f;
    rollouts[i].stale = true;
  }
  const auto step = trainer->Step(rollouts);
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_GT(step->stats.at("ppo/importance_weight"), std::exp(0.5) - 1e-3);
  EXPECT_LT(step->stats.at("ppo/importance_weight"), 2.0);
  const double error = step->stats.at("ppo/sampler_logprob_error");
  EXPECT_GT(error, 0.5);
  EXPECT_LT(error, 5.0);
  EXPECT_NEAR(step->stats.at("ppo/sampler_kl"), -error, 1e-6) << "every log-prob was lowered";
  EXPECT_EQ(step->stats.at("objective/kl"), 0)
      << "the ratio and the penalty are taken from the current weights";
}

TEST(PpoTrainerTest, AMiniBatchBeyondTheRatioThresholdChangesNothing) {
  PpoConfig config = SmallConfig();
  config.ratio_threshold = 0.5;  // below 1: every mini-batch
  auto trainer = MakeTrainer(config);
  const std::string before = HashOf(*trainer);
  const auto step = trainer->Step(MakeRollouts(1));
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(step->stats.at("ppo/skipped_mini_batches"), 4);
  EXPECT_EQ(HashOf(*trainer), before);
}

TEST(PpoTrainerTest, ClipsEveryStep) {
  PpoConfig config = SmallConfig();
  config.max_grad_norm = 1e-12;  // below Adam's eps: nothing moves anymore
  auto trainer = MakeTrainer(config);
  const std::vector<float> before = trainer->value_head().weight;
  for (uint32_t s = 0; s < 2; ++s) {
    const auto step = trainer->Step(MakeRollouts(s));
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_GT(step->stats.at("ppo/grad_norm"), 1e-3) << "the norm is that before clipping";
  }
  EXPECT_THAT(trainer->value_head().weight, Pointwise(FloatNear(1e-6f), before));
}

TEST(PpoTrainerTest, AccumulationWithoutCompatibilityEqualsOneLargeMiniBatch) {
  PpoConfig whole = SmallConfig();
  whole.mini_batch_size = 4;
  PpoConfig parts = SmallConfig();
  parts.mini_batch_size = 1;
  parts.gradient_accumulation_steps = 4;
  auto a = MakeTrainer(whole), b = MakeTrainer(parts);
  const auto x = a->Step(MakeRollouts(5)), y = b->Step(MakeRollouts(5));
  ASSERT_TRUE(x.ok() && y.ok()) << y.status();
  EXPECT_NEAR(x->stats.at("ppo/grad_norm"), y->stats.at("ppo/grad_norm"),
              1e-4 * x->stats.at("ppo/grad_norm"));
  EXPECT_THAT(b->value_head().weight, Pointwise(FloatNear(2e-5f), a->value_head().weight));
}

TEST(PpoTrainerTest, ScoresDoNotDependOnBatchMates) {
  auto trainer = MakeTrainer(SmallConfig());
  std::vector<ScoreRow> rows = {{.query_ids = {5, 6, 1}, .response_ids = {}}};
  for (const Rollout& r : MakeRollouts(9, 5)) rows.push_back({r.query_ids, r.response_ids});
  const auto together = trainer->ScoreTokens(rows, PpoTrainer::Which::kReference);
  ASSERT_TRUE(together.ok()) << together.status();
  EXPECT_TRUE((*together)[0].empty());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto alone = trainer->ScoreTokens({rows[i]}, PpoTrainer::Which::kReference);
    EXPECT_THAT((*alone)[0], Pointwise(FloatNear(1e-5f), (*together)[i]));
  }
}

TEST(PpoTrainerTest, MissingEosIsPenalized) {
  PpoConfig config = SmallConfig();
  config.missing_eos_penalty = 1.5;
  std::vector<Rollout> rollouts = MakeRollouts(1);
  for (Rollout& r : rollouts) r.score = 0;
  rollouts[0].response_ids.back() = 7;
  const auto step = MakeTrainer(config)->Step(rollouts);
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_NEAR(step->stats.at("ppo/mean_scores"), -1.5 / 4, 1e-6);
}

TEST(PpoTrainerTest, OneTokenResponsesStayFinite) {
  for (const bool trl_compat : {false, true}) {
    PpoConfig config = SmallConfig();
    config.trl_compat = trl_compat;
    config.whiten_rewards = true;
    std::vector<Rollout> rollouts = MakeRollouts(1);
    for (Rollout& r : rollouts) r.response_ids = {1};
    auto trainer = MakeTrainer(config);
    const auto step = trainer->Step(rollouts);
    ASSERT_TRUE(step.ok()) << step.status();
    for (const auto& [key, value] : step->stats) EXPECT_TRUE(std::isfinite(value)) << key;
    for (const auto& [name, pair] : trainer->Adapter().modules) {
      for (const float x : pair.b.ToFloat32()) ASSERT_TRUE(std::isfinite(x)) << name;
    }
  }
}

TEST(PpoTrainerTest, RejectsBadRollouts) {
  auto trainer = MakeTrainer(SmallConfig());
  const auto error_of = [&](const std::function<void(std::vector<Rollout>*)>& spoil) {
    std::vector<Rollout> rollouts = MakeRollouts(1);
    spoil(&rollouts);
    const absl::Status status = trainer->Step(rollouts).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(error_of([](auto* r) { r->pop_back(); }), HasSubstr("3 rollouts, batch_size is 4"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[2].response_ids.clear(); }),
              HasSubstr("rollout 2: response_ids"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[1].query_ids.clear(); }),
              HasSubstr("rollout 1: query_ids"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[0].query_ids[0] = 97; }), HasSubstr("id 97"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[0].behavior_logprobs = {-1}; }),
              HasSubstr("behavior_logprobs"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[1].values = {-1}; }), HasSubstr("rollout 1: 1 values"));
  EXPECT_THAT(error_of([](auto* r) {
                (*r)[2].reference_logprobs.assign((*r)[2].response_ids.size(), NAN);
              }),
              HasSubstr("rollout 2: reference_logprobs holds a number that is not finite"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[3].stale = true; }), HasSubstr("stale"));
  EXPECT_THAT(error_of([](auto* r) { (*r)[0].score = std::numeric_limits<float>::infinity(); }),
              HasSubstr("score"));
  EXPECT_EQ(trainer->step(), 0);
}

TEST(PpoTrainerTest, CreateNamesWhatDoesNotFit) {
  PpoConfig config = SmallConfig();
  EXPECT_EQ(PpoTrainer::Create("/no/such/folder", config, std::nullopt, {}).status().code(),
            absl::StatusCode::kNotFound);
  config.value_head_file = std::string(kAdapter) + "/adapter_model.safetensors";
  const absl::Status head = PpoTrainer::Create(kModel, config, std::nullopt, {}).status();
  EXPECT_EQ(head.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(head.message()), HasSubstr("v_head.summary.weight"));
  config = SmallConfig();
  config.lora = nn::LoraConfig{.r = 2, .target_modules = {"query"}};
  EXPECT_THAT(std::string(PpoTrainer::Create(kModel, config, std::nullopt, {}).status().message()),
              HasSubstr("query"));
}

TEST(PpoTrainerTest, AnAdapterOnTheHeadIsRefusedByName) {
  nn::LoraWeights start = *adapters::ReadPeftFolder(kAdapter);
  const int64_t d_model = nn::ReadT5Config(kModel)->d_model;
  const int64_t vocab = nn::ReadT5Config(kModel)->vocab_size;
  const int64_t r = start.config.r;
  start.modules["lm_head"] = {
      nn::HostTensor::FromFloat32(std::vector<float>(r * d_model), {r, d_model}),
      nn::HostTensor::FromFloat32(std::vector<float>(vocab * r), {vocab, r})};
  const absl::Status status = PpoTrainer::Create(kModel, SmallConfig(), start, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("lm_head can be adapted by others"));
}

// Training goes on with each module's own rank and alpha, and the file says so again.
TEST(PpoTrainerTest, RanksAndAlphasOfTheStartAreKept) {
  nn::LoraWeights start = *adapters::ReadPeftFolder(kAdapter);
  const auto [name, pair] = *start.modules.begin();
  const int64_t in = pair.a.shape[1];
  const int64_t out = pair.b.shape[0];
  start.modules[name] = {nn::HostTensor::FromFloat32(std::vector<float>(in, 0.1f), {1, in}),
                         nn::HostTensor::FromFloat32(std::vector<float>(out, 0.1f), {out, 1})};
  start.config.module_alphas[name] = 3;
  const auto trainer = PpoTrainer::Create(kModel, SmallConfig(), start, {.threads = 1});
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  const nn::LoraWeights kept = (*trainer)->Adapter();
  EXPECT_EQ(kept.modules.at(name).a.shape[0], 1);
  EXPECT_EQ(kept.config.module_alphas, start.config.module_alphas);
  EXPECT_EQ(kept.config.base_model_name_or_path, kModel);
  EXPECT_EQ(adapters::ContentHash(kept), adapters::ContentHash(start));
}

}  // namespace ppo_trainer_test
}  // namespace mellow::rl
