// Supervised fine-tuning against transformers 4.45.2, PEFT 0.13.2 and torch.optim on small random
// models: loss, gradients, gradient norms and learning rates of each step, and the weights after
// the last one. make_sft_golden.py made tests/parity/golden/sft.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "common/adapters/peft.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/weights/safetensors.h"
#include "common/sft/sft_core.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"

namespace mellow::sft {
namespace sft_parity_test {

using Json = nlohmann::json;

const std::string kGolden = mellow::SourceTree("/tests/parity/golden/");

std::vector<Pair> ReadPairs(const Json& list) {
  std::vector<Pair> pairs;
  for (const Json& pair : list) pairs.push_back({pair["source_ids"], pair["target_ids"]});
  return pairs;
}

SftConfig ReadConfig(const Json& json) {
  SftConfig c;
  c.seed = json.value("seed", 0);
  c.learning_rate = json["learning_rate"];
  c.warmup_steps = json.value("warmup_steps", 0);
  c.total_steps = json["total_steps"];
  c.weight_decay = json.value("weight_decay", 0.0);
  c.adam_beta1 = json.value("adam_beta1", 0.9);
  c.adam_beta2 = json.value("adam_beta2", 0.999);
  c.adam_epsilon = json.value("adam_epsilon", 1e-8);
  c.max_grad_norm = json.value("max_grad_norm", 1.0);
  c.batch_size = json["batch_size"];
  c.label_smoothing = json.value("label_smoothing", 0.0);
  c.model_dropout = json.value("model_dropout", 0.0);
  return c;
}

class SftParityTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::ifstream file(kGolden + "sft/" + GetParam() + ".json");
    case_ = Json::parse(file);
    SftConfig config = ReadConfig(case_["config"]);
    auto model = nn::TrainableT5::Load(kGolden + "ppo/" + case_["model"].get<std::string>(), {}, 2);
    ASSERT_TRUE(model.ok()) << model.status();
    auto start = adapters::ReadPeftFolder(kGolden + "ppo/" + case_["adapter"].get<std::string>());
    ASSERT_TRUE(start.ok()) << start.status();
    start->config.lora_dropout = case_["config"].value("lora_dropout", 0.0);
    auto lora = (*model)->Adapt(*start, /*trainable=*/true);
    ASSERT_TRUE(lora.ok()) << lora.status();
    core_ =
        std::make_unique<SftCore>(config, train::AdaptedModel{*std::move(model), *std::move(lora)});
  }

  Json case_;
  std::unique_ptr<SftCore> core_;
};

// fp32 sums in another order (packed against padded rows): 1e-4 of the largest gradient of a tensor
// is a hundred times what is seen.
TEST_P(SftParityTest, LossAndGradientsAreThoseOfTransformersAndPeft) {
  const Json& step = case_["steps"][0];
  const double loss = core_->ComputeGradients(ReadPairs(step["pairs"]));
  EXPECT_NEAR(loss, step["loss"].get<double>(), 1e-4);
  const auto wanted = nn::ReadSafetensors(kGolden + "sft/" + GetParam() + ".gradients.safetensors");
  ASSERT_TRUE(wanted.ok()) << wanted.status();
  ASSERT_EQ(wanted->size(), 2 * core_->lora().parameters().size());
  double worst = 0;
  for (const nn::TorchLora::Named& p : core_->lora().parameters()) {
    for (const auto& [tensor, suffix] :
         {std::pair(p.a, ".lora_A.weight"), std::pair(p.b, ".lora_B.weight")}) {
      ASSERT_TRUE(wanted->count(p.module + suffix)) << p.module + suffix;
      const at::Tensor want = nn::ToTorch(wanted->at(p.module + suffix), at::kCPU);
      const double scale = std::max(want.abs().max().item<double>(), 1e-3);
      const double error = (tensor.grad() - want).abs().max().item<double>() / scale;
      EXPECT_LT(error, 1e-4) << p.module << suffix;
      worst = std::max(worst, error);
    }
  }
  RecordProperty("worst_relative_gradient_error", std::to_string(worst));
}

// Adam turns rounding in a gradient near zero into a step of either sign, so a weight in a thousand
// may be off by more.
TEST_P(SftParityTest, TheTrajectoryIsThatOfTorch) {
  const std::vector<Pair> dev = ReadPairs(case_["dev"]["pairs"]);
  EXPECT_NEAR(core_->Evaluate(dev), case_["dev"]["losses"][0].get<double>(), 1e-4);
  for (const Json& step : case_["steps"]) {
    const auto result = core_->Step(ReadPairs(step["pairs"]));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_NEAR(result->loss, step["loss"].get<double>(), 1e-4) << result->step;
    EXPECT_NEAR(result->gradient_norm / step["gradient_norm"].get<double>(), 1, 1e-4)
        << result->step;
    EXPECT_NEAR(result->learning_rate, step["learning_rate"].get<double>(), 1e-15) << result->step;
  }
  EXPECT_NEAR(core_->Evaluate(dev), case_["dev"]["losses"][1].get<double>(), 1e-4);

  const auto after = adapters::ReadPeftFolder(kGolden + "sft/" + GetParam() + ".after");
  ASSERT_TRUE(after.ok()) << after.status();
  const nn::LoraWeights mine = core_->lora().ToHost();
  ASSERT_EQ(mine.modules.size(), after->modules.size());
  const double tolerance = 0.02 * core_->config().learning_rate;
  size_t far = 0, all = 0;
  for (const auto& [name, pair] : after->modules) {
    for (const auto& [got, want] :
         {std::pair(mine.modules.at(name).a, pair.a), std::pair(mine.modules.at(name).b, pair.b)}) {
      const std::vector<float> x = got.ToFloat32(), y = want.ToFloat32();
      ASSERT_EQ(x.size(), y.size()) << name;
      all += x.size();
      for (size_t i = 0; i < x.size(); ++i) far += std::abs(x[i] - y[i]) > tolerance ? 1 : 0;
    }
  }
  EXPECT_LE(static_cast<double>(far), 0.001 * static_cast<double>(all))
      << far << " of " << all << " weights are off";
}

INSTANTIATE_TEST_SUITE_P(Golden, SftParityTest,
                         ::testing::Values("plain", "everything", "dropout", "dropout-all", "umt5"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace sft_parity_test
}  // namespace mellow::sft
