// The real models against numbers that public runs of them printed. Tolerance 1e-4 on logits: two
// of those runs, on different machines, differ by 1e-6, and fp32 sums in another order by up to
// 1e-5.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/nn/load.h"
#include "common/text/load_tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/testing/outside_data.h"
#include "tests/testing/source_tree.h"

namespace mellow {
namespace {

constexpr double kTolerance = 1e-4;

std::string ModelFolder(const std::string& name) {
  const char* given = std::getenv("MELLOW_WEIGHTS_DIR");
  return (given != nullptr ? std::string(given) : SourceTree("/deploy/models")) + "/" + name;
}

nlohmann::json Golden() {
  std::ifstream file(OutsideData("/golden/reward_golden.json"));
  return file ? nlohmann::json::parse(file) : nlohmann::json();
}

TEST(PublishedModelsTest, TheHateSpeechClassifierGivesThePublishedLogits) {
  const std::string folder = ModelFolder("roberta-hate-speech");
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no " << folder << "; deploy/tools/fetch_models.sh gets it";
  const nlohmann::json golden = Golden();
  if (golden.is_null()) GTEST_SKIP() << "no golden/reward_golden.json among the outside data";
  auto model = nn::LoadSequenceClassifier(folder, {.threads = 2});
  ASSERT_TRUE(model.ok()) << model.status();
  auto tokenizer = text::LoadTokenizer(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT((*model)->config().labels, ::testing::ElementsAre("nothate", "hate"));
  for (const nlohmann::json& c : golden["reward_model"]["cases"]) {
    const auto text = c["text"].get<std::string>();
    const auto ids = (*tokenizer)->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    const auto logits = (*model)->Classify({*ids});
    ASSERT_TRUE(logits.ok()) << logits.status();
    const std::vector<float>& ours = logits->front();
    for (const nlohmann::json& published : c["logits"]) {
      EXPECT_NEAR(ours[0], published[0].get<double>(), kTolerance) << text;
      EXPECT_NEAR(ours[1], published[1].get<double>(), kTolerance) << text;
    }
    EXPECT_NEAR(1 / (1 + std::exp(ours[1] - ours[0])), c["probabilities"][0].get<double>(),
                kTolerance)
        << text;
  }
}

TEST(PublishedModelsTest, FlanT5BaseHasThePublishedParameterCount) {
  const std::string folder = ModelFolder("flan-t5-base");
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no " << folder << "; deploy/tools/fetch_models.sh gets it";
  auto model = nn::LoadSeq2SeqModel(folder, {.threads = 2});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->parameter_count(), 247577856);
}

}  // namespace
}  // namespace mellow
