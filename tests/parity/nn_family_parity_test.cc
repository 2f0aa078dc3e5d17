// mT5, UMT5 and what transformers 5 saves, on both backends (libtorch on its CPU device), against
// what transformers computed for the models in golden/families (make_family_golden.py).
// Tolerances: as in nn_cpu_parity_test.cc, for log-probs up to -60.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "common/nn/load.h"
#include "common/nn/torch/torch_models.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"

namespace mellow::nn {
namespace nn_family_parity_test {

using Json = nlohmann::json;

const std::string kFamilies = mellow::SourceTree("/tests/parity/golden/families/");
constexpr double kTolerance = 5e-5;

class FamilyParityTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::ifstream file(kFamilies + GetParam() + ".logprobs.jsonl");
    for (std::string line; std::getline(file, line);) rows_.push_back(Json::parse(line));
    ASSERT_FALSE(rows_.empty());
  }

  void ExpectLogProbs(absl::StatusOr<std::unique_ptr<Seq2SeqModel>> loaded) const {
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    Seq2SeqModel& model = **loaded;
    EXPECT_TRUE(model.config().warnings.empty()) << model.config().warnings[0];
    for (size_t i = 0; i < rows_.size(); ++i) {
      const auto source = rows_[i]["source_ids"].get<std::vector<int32_t>>();
      const auto target = rows_[i]["target_ids"].get<std::vector<int32_t>>();
      const auto want = rows_[i]["logprobs"].get<std::vector<double>>();
      const auto got = model.ScoreTokens({{source, target, nullptr}});
      ASSERT_TRUE(got.ok()) << got.status();
      ASSERT_EQ((*got)[0].size(), want.size());
      for (size_t t = 0; t < want.size(); ++t)
        EXPECT_NEAR((*got)[0][t], want[t], kTolerance) << "row " << i << " position " << t;
      ExpectSteps(model, source, target, (*got)[0]);
    }
  }

 private:
  // The decoding steps have position biases and a scale of their own code.
  static void ExpectSteps(Seq2SeqModel& model, const std::vector<int32_t>& source,
                          const std::vector<int32_t>& target, const std::vector<float>& want) {
    auto rows = model.Encode({{source, nullptr, static_cast<int>(target.size())}});
    ASSERT_TRUE(rows.ok()) << rows.status();
    int32_t token = model.config().decoder_start_token_id;
    std::vector<float> logits;
    for (size_t t = 0; t < target.size(); ++t) {
      ASSERT_TRUE(model.Step({(*rows)[0].get()}, {token}, &logits).ok());
      token = target[t];
      const double most = *std::max_element(logits.begin(), logits.end());
      double sum = 0;
      for (const float x : logits) sum += std::exp(x - most);
      ASSERT_NEAR(logits[token] - most - std::log(sum), want[t], kTolerance) << "step " << t;
    }
  }

  std::vector<Json> rows_;
};

TEST_P(FamilyParityTest, TheCpuEngineScoresAndDecodesAsTransformers) {
  ExpectLogProbs(LoadSeq2SeqModel(kFamilies + GetParam(), {.threads = 2}));
}

TEST_P(FamilyParityTest, TheTorchBackendScoresAndDecodesAsTransformers) {
  ExpectLogProbs(LoadTorchSeq2SeqModel(kFamilies + GetParam(), {}));
}

INSTANTIATE_TEST_SUITE_P(Golden, FamilyParityTest,
                         ::testing::Values("mt5", "umt5", "umt5-tied", "t5-5-fresh", "t5-5-tied",
                                           "t5-5-head", "mt5-5", "umt5-5"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace nn_family_parity_test
}  // namespace mellow::nn
