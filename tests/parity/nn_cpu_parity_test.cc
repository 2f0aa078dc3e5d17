// The CPU backend against what transformers and PEFT computed for the models in golden/
// (make_golden.py). Tolerances: transformers' own fp32 answers are up to 1e-5 from what it computes
// in double precision, and with the golden adapters, whose random values make the model far more
// sensitive, up to 7e-5.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/adapters/peft.h"
#include "common/nn/generation/generate.h"
#include "common/nn/load.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"

namespace mellow::nn {
namespace nn_cpu_parity_test {

const std::string kGolden = mellow::SourceTree("/tests/parity/golden");
constexpr double kTolerance = 2e-5;
constexpr double kAdapterTolerance = 2e-4;

std::vector<nlohmann::json> ReadLines(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

std::vector<int32_t> Ids(const nlohmann::json& row, const char* key) {
  return row.at(key).get<std::vector<int32_t>>();
}

std::unique_ptr<Seq2SeqModel> LoadModel(const std::string& folder, int threads) {
  auto model = LoadSeq2SeqModel(folder, {.threads = threads});
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? std::move(*model) : nullptr;
}

// Score requests of a golden file with the adapters that its rows name.
class ScoreSet {
 public:
  ScoreSet(Seq2SeqModel* model, const std::string& folder, const std::string& file,
           const std::string& adapter = "")
      : model_(model), rows_(ReadLines(folder + "/" + file)) {
    for (const nlohmann::json& row : rows_) {
      sources_.push_back(Ids(row, "source_ids"));
      targets_.push_back(Ids(row, "target_ids"));
    }
    for (size_t i = 0; i < rows_.size(); ++i) {
      const std::string name = rows_[i].value("adapter", adapter);
      requests_.push_back(
          {sources_[i], targets_[i], name.empty() ? nullptr : Adapter(folder + "/" + name)});
    }
  }

  const std::vector<ScoreRequest>& requests() const { return requests_; }

  // Largest difference of the log-probs from the file's, over the rows with or without an adapter.
  double Error(const std::vector<std::vector<float>>& scores, bool adapted) const {
    double worst = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      if ((requests_[i].adapter != nullptr) != adapted) continue;
      const auto expected = rows_[i].at("logprobs").get<std::vector<double>>();
      EXPECT_EQ(scores[i].size(), expected.size());
      for (size_t t = 0; t < std::min(expected.size(), scores[i].size()); ++t) {
        worst = std::max(worst, std::fabs(expected[t] - scores[i][t]));
      }
    }
    return worst;
  }

 private:
  const PreparedAdapter* Adapter(const std::string& folder) {
    auto& slot = adapters_[folder];
    if (slot == nullptr) {
      const auto lora = adapters::ReadPeftFolder(folder);
      EXPECT_TRUE(lora.ok()) << lora.status();
      auto prepared = model_->Prepare(*lora);
      EXPECT_TRUE(prepared.ok()) << prepared.status();
      slot = *prepared;
    }
    return slot.get();
  }

  Seq2SeqModel* model_;
  std::vector<nlohmann::json> rows_;
  std::vector<std::vector<int32_t>> sources_;
  std::vector<std::vector<int32_t>> targets_;
  std::vector<ScoreRequest> requests_;
  std::map<std::string, std::shared_ptr<const PreparedAdapter>> adapters_;
};

std::vector<std::vector<float>> Score(Seq2SeqModel& model,
                                      const std::vector<ScoreRequest>& requests) {
  auto scores = model.ScoreTokens(requests);
  EXPECT_TRUE(scores.ok()) << scores.status();
  return *scores;
}

bool SameBits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size() ||
        std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0)
      return false;
  }
  return true;
}

class T5ParityTest : public ::testing::TestWithParam<const char*> {};

TEST_P(T5ParityTest, LogProbsOfMixedAdaptersEqualTransformersAndPeft) {
  const std::string name = GetParam();
  auto model = LoadModel(std::string(kGolden) + "/" + name, 2);
  ASSERT_NE(model, nullptr);
  const ScoreSet set(model.get(), kGolden, name + ".logprobs.jsonl");
  const std::vector<std::vector<float>> scores = Score(*model, set.requests());
  EXPECT_LT(set.Error(scores, /*adapted=*/false), kTolerance);
  EXPECT_LT(set.Error(scores, /*adapted=*/true), kAdapterTolerance);
}

TEST_P(T5ParityTest, ARequestScoresTheSameBitsAloneInABatchAndWithAnyThreadCount) {
  const std::string name = GetParam();
  const std::string folder = std::string(kGolden) + "/" + name;
  auto one = LoadModel(folder, 1);
  ASSERT_NE(one, nullptr);
  const ScoreSet set(one.get(), kGolden, name + ".logprobs.jsonl");
  std::vector<std::vector<float>> alone;
  for (const ScoreRequest& request : set.requests()) alone.push_back(Score(*one, {request})[0]);
  EXPECT_TRUE(SameBits(alone, Score(*one, set.requests())));
  for (int threads : {2, 3}) {
    auto model = LoadModel(folder, threads);
    const ScoreSet same(model.get(), kGolden, name + ".logprobs.jsonl");
    EXPECT_TRUE(SameBits(alone, Score(*model, same.requests()))) << threads << " threads";
  }
}

TEST_P(T5ParityTest, DecodingStepsGiveTheBitsOfTeacherForcing) {
  const std::string name = GetParam();
  auto model = LoadModel(std::string(kGolden) + "/" + name, 2);
  ASSERT_NE(model, nullptr);
  const ScoreSet set(model.get(), kGolden, name + ".logprobs.jsonl");
  const std::vector<std::vector<float>> scores = Score(*model, set.requests());
  std::vector<EncodeRequest> encode;
  for (const ScoreRequest& r : set.requests())
    encode.push_back({r.source_ids, r.adapter, static_cast<int>(r.target_ids.size())});
  auto rows = model->Encode(encode);
  ASSERT_TRUE(rows.ok()) << rows.status();
  const auto vocab = static_cast<size_t>(model->config().vocab_size);
  std::vector<float> logits;
  for (size_t t = 0;; ++t) {
    std::vector<DecodeRow*> active;
    std::vector<int32_t> tokens;
    std::vector<size_t> index;
    for (size_t i = 0; i < rows->size(); ++i) {
      const auto& target = set.requests()[i].target_ids;
      if (t >= target.size()) continue;
      active.push_back((*rows)[i].get());
      tokens.push_back(t == 0 ? model->config().decoder_start_token_id : target[t - 1]);
      index.push_back(i);
    }
    if (active.empty()) break;
    ASSERT_TRUE(model->Step(active, tokens, &logits).ok());
    for (size_t j = 0; j < index.size(); ++j) {
      const int32_t id = set.requests()[index[j]].target_ids[t];
      const float* row = logits.data() + j * vocab;
      double sum = 0;
      for (size_t v = 0; v < vocab; ++v) sum += std::exp(double{row[v]} - row[id]);
      ASSERT_NEAR(-std::log(sum), scores[index[j]][t], 2e-6) << "row " << index[j] << " step " << t;
    }
  }
}

// Rows of golden/<name>.generate.jsonl.
std::vector<GenerateItem> GenerateItems(
    const std::vector<nlohmann::json>& rows, Seq2SeqModel* model,
    std::map<std::string, std::shared_ptr<const PreparedAdapter>>* adapters) {
  std::vector<GenerateItem> items;
  for (const nlohmann::json& row : rows) {
    GenerateItem item;
    item.source_ids = Ids(row, "source_ids");
    item.params.max_new_tokens = row.at("max_new_tokens").get<int>();
    item.params.min_new_tokens = row.at("min_new_tokens").get<int>();
    item.params.num_beams = row.at("num_beams").get<int>();
    if (row.contains("adapter")) {
      auto& slot = (*adapters)[row.at("adapter").get<std::string>()];
      if (slot == nullptr) {
        slot = *model->Prepare(*adapters::ReadPeftFolder(std::string(kGolden) + "/" +
                                                         row.at("adapter").get<std::string>()));
      }
      item.adapter = slot.get();
    }
    items.push_back(std::move(item));
  }
  return items;
}

TEST_P(T5ParityTest, GreedyAndBeamSearchEqualTransformers) {
  const std::string name = GetParam();
  auto model = LoadModel(std::string(kGolden) + "/" + name, 2);
  ASSERT_NE(model, nullptr);
  const std::vector<nlohmann::json> rows =
      ReadLines(std::string(kGolden) + "/" + name + ".generate.jsonl");
  std::map<std::string, std::shared_ptr<const PreparedAdapter>> adapters;
  const auto out = Generate(*model, GenerateItems(rows, model.get(), &adapters));
  ASSERT_TRUE(out.ok()) << out.status();
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ((*out)[i].ids, Ids(rows[i], "ids")) << "row " << i;
    EXPECT_EQ((*out)[i].finish == FinishReason::kEos, rows[i].at("finish") == "eos") << "row " << i;
    const auto expected = rows[i].at("logprobs").get<std::vector<double>>();
    ASSERT_EQ((*out)[i].logprobs.size(), expected.size());
    for (size_t t = 0; t < expected.size(); ++t)
      EXPECT_NEAR((*out)[i].logprobs[t], expected[t], kTolerance) << i << "," << t;
  }
}

TEST_P(T5ParityTest, WeightTypesStayNearFloat32) {
  const std::string name = GetParam();
  const std::string folder = std::string(kGolden) + "/" + name;
  auto exact = LoadModel(folder, 1);
  ASSERT_NE(exact, nullptr);
  const ScoreSet set(exact.get(), kGolden, name + ".logprobs.jsonl");
  const std::map<WeightType, double> bounds = {
      {WeightType::kFloat16, 0.2}, {WeightType::kBFloat16, 1.0}, {WeightType::kInt8, 3.0}};
  for (const auto& [type, bound] : bounds) {
    auto model = LoadSeq2SeqModel(folder, {.threads = 2, .weights = type});
    ASSERT_TRUE(model.ok()) << model.status();
    const ScoreSet same(model->get(), kGolden, name + ".logprobs.jsonl");
    const double error = same.Error(Score(**model, same.requests()), /*adapted=*/false);
    EXPECT_LT(error, bound) << static_cast<int>(type);
    EXPECT_GT(error, 1e-5) << "the weights were not converted";
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, T5ParityTest, ::testing::Values("t5-gated", "t5-tied"),
                         [](const ::testing::TestParamInfo<const char*>& info) {
                           return std::string(info.param) == "t5-gated" ? "Gated" : "Tied";
                         });

class RobertaParityTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RobertaParityTest, LogitsEqualTransformersAndDoNotDependOnTheBatch) {
  const std::string folder = std::string(kGolden) + "/" + GetParam();
  const std::vector<nlohmann::json> rows = ReadLines(folder + ".logits.jsonl");
  std::vector<std::vector<int32_t>> sequences;
  for (const nlohmann::json& row : rows) sequences.push_back(Ids(row, "input_ids"));
  std::vector<std::vector<float>> first;
  for (int threads : {1, 2, 3}) {
    auto model = LoadSequenceClassifier(folder, {.threads = threads});
    ASSERT_TRUE(model.ok()) << model.status();
    const auto together = (*model)->Classify(sequences);
    ASSERT_TRUE(together.ok()) << together.status();
    std::vector<std::vector<float>> alone;
    for (size_t i = 0; i < rows.size(); ++i) {
      alone.push_back((*(*model)->Classify({sequences[i]}))[0]);
      const auto expected = rows[i].at("logits").get<std::vector<double>>();
      ASSERT_EQ((*together)[i].size(), expected.size());
      for (size_t j = 0; j < expected.size(); ++j)
        EXPECT_NEAR((*together)[i][j], expected[j], kTolerance);
    }
    EXPECT_TRUE(SameBits(alone, *together)) << threads << " threads";
    if (first.empty()) first = alone;
    EXPECT_TRUE(SameBits(first, alone)) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, RobertaParityTest, ::testing::Values("roberta-2", "roberta-5"),
                         [](const ::testing::TestParamInfo<const char*>& info) {
                           return std::string(info.param) == "roberta-2" ? "TwoLabels"
                                                                         : "FiveLabels";
                         });

}  // namespace nn_cpu_parity_test
}  // namespace mellow::nn
