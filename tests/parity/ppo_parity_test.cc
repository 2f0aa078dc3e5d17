// PpoTrainer against TRL 0.11.3 (with PEFT and transformers) on small random models: the statistics
// of each step, and the weights after the last one. make_ppo_golden.py made
// tests/parity/golden/ppo.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "common/adapters/peft.h"
#include "common/rl/ppo_trainer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "services/wire/ppo_config.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/test_device.h"

namespace mellow::rl {
namespace ppo_parity_test {

using Json = nlohmann::json;

const std::string kGolden = mellow::SourceTree("/tests/parity/golden/ppo");

struct Case {
  std::string name;  // of the files: NAME.config.json, NAME.steps.jsonl...
  std::string model;
  std::string adapter;
};

std::vector<Json> ReadLines(const std::string& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(Json::parse(line));
  }
  return lines;
}

PpoConfig ReadConfig(const Case& c) {
  std::ifstream file(kGolden + "/" + c.name + ".config.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const absl::StatusOr<PpoConfig> config = mellow::wire::PpoConfigFromJson(text);
  EXPECT_TRUE(config.ok()) << config.status();
  PpoConfig out = config.value_or(PpoConfig());
  out.value_head_file = kGolden + "/" + c.name + ".value_head.safetensors";
  return out;
}

std::vector<Rollout> ReadRollouts(const Json& step) {
  std::vector<Rollout> rollouts;
  for (size_t i = 0; i < step["queries"].size(); ++i)
    rollouts.push_back({.query_ids = step["queries"][i],
                        .response_ids = step["responses"][i],
                        .score = step["scores"][i]});
  return rollouts;
}

// Adam turns rounding in a gradient near zero into a step of either sign, so a few weights may be
// off.
void ExpectWeightsNear(const nn::LoraWeights& got, const nn::LoraWeights& want,
                       double learning_rate) {
  size_t far = 0, all = 0;
  ASSERT_EQ(got.modules.size(), want.modules.size());
  for (const auto& [name, pair] : want.modules) {
    ASSERT_TRUE(got.modules.count(name)) << name;
    const nn::LoraPair& mine = got.modules.at(name);
    for (const auto& [a, b] : {std::pair(mine.a, pair.a), std::pair(mine.b, pair.b)}) {
      const std::vector<float> x = a.ToFloat32(), y = b.ToFloat32();
      ASSERT_EQ(x.size(), y.size()) << name;
      all += x.size();
      for (size_t i = 0; i < x.size(); ++i)
        far += std::abs(x[i] - y[i]) > 0.02 * learning_rate ? 1 : 0;
    }
  }
  EXPECT_LE(static_cast<double>(far), 0.001 * static_cast<double>(all))
      << far << " of " << all << " weights are off";
}

class PpoParityTest : public ::testing::TestWithParam<Case> {};

TEST_P(PpoParityTest, StatisticsAndWeightsAreThoseOfTrl) {
  const Case& c = GetParam();
  const PpoConfig config = ReadConfig(c);
  const absl::StatusOr<nn::LoraWeights> start = adapters::ReadPeftFolder(kGolden + "/" + c.adapter);
  ASSERT_TRUE(start.ok()) << start.status();
  auto trainer = PpoTrainer::Create(kGolden + "/" + c.model, config, *start,
                                    {.device = TestDevice(), .threads = 2});
  ASSERT_TRUE(trainer.ok()) << trainer.status();

  const std::vector<Json> steps = ReadLines(kGolden + "/" + c.name + ".steps.jsonl");
  const std::vector<Json> wanted = ReadLines(kGolden + "/" + c.name + ".stats.jsonl");
  ASSERT_EQ(steps.size(), wanted.size());
  double worst = 0;
  for (size_t s = 0; s < steps.size(); ++s) {
    const absl::StatusOr<StepResult> result = (*trainer)->Step(ReadRollouts(steps[s]));
    ASSERT_TRUE(result.ok()) << result.status();
    for (const auto& [key, value] : wanted[s].items()) {
      ASSERT_TRUE(result->stats.count(key)) << key;
      const double want = value.get<double>();
      if (std::isnan(want)) continue;
      const double error = std::abs(result->stats.at(key) - want) / std::max(std::abs(want), 0.1);
      worst = std::max(worst, error);
      EXPECT_LT(error, OnTestDevice(1e-4))
          << "step " << s << " " << key << ": " << result->stats.at(key) << ", TRL " << want;
    }
  }
  RecordProperty("worst_relative_error", std::to_string(worst));
  const absl::StatusOr<nn::LoraWeights> after =
      adapters::ReadPeftFolder(kGolden + "/" + c.name + ".after");
  ASSERT_TRUE(after.ok()) << after.status();
  ExpectWeightsNear((*trainer)->Adapter(), *after, config.learning_rate);
  const absl::StatusOr<ValueHead> head = nn::ReadValueHead(
      kGolden + "/" + c.name + ".after.value_head.safetensors", (*trainer)->model_config().d_model);
  ASSERT_TRUE(head.ok()) << head.status();
  const ValueHead mine = (*trainer)->value_head();
  EXPECT_THAT(
      mine.weight,
      ::testing::Pointwise(::testing::FloatNear(static_cast<float>(0.02 * config.learning_rate)),
                           head->weight));
}

INSTANTIATE_TEST_SUITE_P(Golden, PpoParityTest,
                         ::testing::Values(Case{"clip-once", "gated", "gated-qv"},
                                           Case{"accumulate-mse", "tied", "tied-all"},
                                           Case{"full-whiten", "gated", "gated-qv"},
                                           Case{"skip-stop", "gated", "gated-qv"}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace ppo_parity_test
}  // namespace mellow::rl
