// The libtorch backend, on libtorch's CPU device (the code that runs on CUDA devices) or on
// MELLOW_TEST_DEVICE, against what
// transformers and PEFT computed for the models in golden/ (make_golden.py). Tolerances as in
// nn_cpu_parity_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/adapters/peft.h"
#include "common/nn/generation/generate.h"
#include "common/nn/load.h"
#include "common/nn/torch/torch_models.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"
#include "tests/testing/test_device.h"

namespace mellow::nn {
namespace nn_torch_parity_test {

using Json = nlohmann::json;

const std::string kGolden = mellow::SourceTree("/tests/parity/golden/");
const double kTolerance = OnTestDevice(2e-5);
const double kAdapterTolerance = OnTestDevice(2e-4);

std::vector<Json> ReadLines(const std::string& name) {
  std::ifstream file(kGolden + name);
  EXPECT_TRUE(file.good()) << name;
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  return rows;
}

class TorchT5ParityTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto model = LoadTorchSeq2SeqModel(std::string(kGolden) + GetParam(), {.device = TestDevice()});
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = std::move(*model);
    rows_ = ReadLines(std::string(GetParam()) + ".logprobs.jsonl");
    for (const Json& row : rows_) {
      sources_.push_back(row.at("source_ids"));
      targets_.push_back(row.at("target_ids"));
    }
    for (size_t i = 0; i < rows_.size(); ++i)
      requests_.push_back({sources_[i], targets_[i], Adapter(rows_[i])});
  }

  const PreparedAdapter* Adapter(const Json& row) {
    const std::string name = row.value("adapter", "");
    if (name.empty()) return nullptr;
    auto& slot = adapters_[name];
    if (slot == nullptr) {
      auto prepared = model_->Prepare(*adapters::ReadPeftFolder(kGolden + name));
      EXPECT_TRUE(prepared.ok()) << prepared.status();
      slot = *prepared;
    }
    return slot.get();
  }

  void ExpectGoldenLogprobs(const std::vector<std::vector<float>>& got) const {
    ASSERT_EQ(got.size(), rows_.size());
    for (size_t i = 0; i < rows_.size(); ++i) {
      const auto want = rows_[i].at("logprobs").get<std::vector<double>>();
      ASSERT_EQ(got[i].size(), want.size());
      const double tolerance = requests_[i].adapter == nullptr ? kTolerance : kAdapterTolerance;
      for (size_t t = 0; t < want.size(); ++t)
        EXPECT_NEAR(got[i][t], want[t], tolerance) << "row " << i << " position " << t;
    }
  }

  std::vector<std::unique_ptr<DecodeRow>> EncodeAll() {
    std::vector<EncodeRequest> encode;
    for (const ScoreRequest& r : requests_)
      encode.push_back({r.source_ids, r.adapter, static_cast<int>(r.target_ids.size())});
    auto rows = model_->Encode(encode);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? std::move(*rows) : std::vector<std::unique_ptr<DecodeRow>>();
  }

  std::unique_ptr<Seq2SeqModel> model_;
  std::vector<Json> rows_;
  std::vector<std::vector<int32_t>> sources_, targets_;
  std::vector<ScoreRequest> requests_;
  std::map<std::string, std::shared_ptr<const PreparedAdapter>> adapters_;
};

float LogSoftmax(const float* logits, size_t vocab, int32_t id) {
  double sum = 0;
  for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(logits[v]) - logits[id]);
  return static_cast<float>(-std::log(sum));
}

TEST_P(TorchT5ParityTest, LogProbsOfMixedAdaptersEqualTransformersAndPeft) {
  const auto scores = model_->ScoreTokens(requests_);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ExpectGoldenLogprobs(*scores);
}

TEST_P(TorchT5ParityTest, StepsOverRowsOfDifferentLengthsAndAdaptersEqualTransformers) {
  const auto rows = EncodeAll();
  ASSERT_EQ(rows.size(), rows_.size());
  const auto vocab = static_cast<size_t>(model_->config().vocab_size);
  std::vector<std::vector<float>> logprobs(rows.size());
  std::vector<float> logits;
  // Rows start one step after the other, so that a batch holds rows at different positions.
  for (size_t step = 0; step < 400; ++step) {
    std::vector<DecodeRow*> active;
    std::vector<int32_t> tokens;
    std::vector<size_t> index;
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t t = logprobs[i].size();
      if (step < i || t >= targets_[i].size()) continue;
      active.push_back(rows[i].get());
      tokens.push_back(t == 0 ? model_->config().decoder_start_token_id : targets_[i][t - 1]);
      index.push_back(i);
    }
    if (active.empty()) continue;
    ASSERT_TRUE(model_->Step(active, tokens, &logits).ok());
    ASSERT_EQ(logits.size(), active.size() * vocab);
    for (size_t j = 0; j < index.size(); ++j) {
      std::vector<float>& row = logprobs[index[j]];
      row.push_back(LogSoftmax(logits.data() + j * vocab, vocab, targets_[index[j]][row.size()]));
      EXPECT_EQ(active[j]->position(), static_cast<int>(row.size()));
    }
  }
  ExpectGoldenLogprobs(logprobs);
}

// The CPU engine's values are the trainer's bit for bit (trainable_t5_parity_test.cc).
TEST_P(TorchT5ParityTest, ValuesAreThoseOfTheCpuEngine) {
  auto other = LoadSeq2SeqModel(std::string(kGolden) + GetParam(), {.threads = 1});
  ASSERT_TRUE(other.ok()) << other.status();
  ValueHead head{.weight = std::vector<float>(model_->config().d_model), .bias = 0.5f};
  for (size_t j = 0; j < head.weight.size(); ++j)
    head.weight[j] = static_cast<float>(j % 7) / 10 - 0.3f;
  std::vector<EncodeRequest> mixed, all;  // every second row has the head; every row has it
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i].adapter != nullptr) continue;  // prepared by one model
    all.push_back({.source_ids = sources_[i],
                   .max_target_tokens = static_cast<int>(targets_[i].size()),
                   .value_head = &head});
    mixed.push_back(all.back());
    if (i % 2 == 0) mixed.back().value_head = nullptr;
  }
  const auto rows = model_->Encode(mixed);
  const auto cpu = (*other)->Encode(all);
  ASSERT_TRUE(rows.ok() && cpu.ok()) << rows.status() << cpu.status();
  std::vector<float> logits;
  for (size_t t = 0;; ++t) {
    std::vector<DecodeRow*> ours, wanted;
    std::vector<int32_t> tokens;
    std::vector<size_t> index;
    for (size_t i = 0; i < rows->size(); ++i) {
      if (t >= targets_[i].size()) continue;
      ours.push_back((*rows)[i].get());
      wanted.push_back((*cpu)[i].get());
      tokens.push_back(t == 0 ? model_->config().decoder_start_token_id : targets_[i][t - 1]);
      index.push_back(i);
    }
    if (ours.empty()) break;
    ASSERT_TRUE(model_->Step(ours, tokens, &logits).ok());
    ASSERT_TRUE((*other)->Step(wanted, tokens, &logits).ok());
    for (size_t j = 0; j < ours.size(); ++j) {
      ASSERT_EQ(ours[j]->value().has_value(), index[j] % 2 == 1);
      if (index[j] % 2 == 1) {
        EXPECT_NEAR(*ours[j]->value(), *wanted[j]->value(), 1e-4);
      }
    }
  }
  const ValueHead narrow{.weight = {1}};
  for (Seq2SeqModel* model : {model_.get(), other->get()}) {
    EXPECT_EQ(model->Encode({{.source_ids = sources_[0], .value_head = &narrow}}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(TorchT5ParityTest, GenerationEqualsTransformers) {
  const std::vector<Json> rows = ReadLines(std::string(GetParam()) + ".generate.jsonl");
  std::vector<GenerateItem> items;
  for (const Json& row : rows) {
    GenerateItem item;
    item.source_ids = row.at("source_ids").get<std::vector<int32_t>>();
    item.params.max_new_tokens = row.at("max_new_tokens");
    item.params.min_new_tokens = row.at("min_new_tokens");
    item.params.num_beams = row.at("num_beams");
    item.adapter = Adapter(row);
    items.push_back(std::move(item));
  }
  const auto out = Generate(*model_, items);
  ASSERT_TRUE(out.ok()) << out.status();
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ((*out)[i].ids, rows[i].at("ids").get<std::vector<int32_t>>()) << "row " << i;
}

TEST_P(TorchT5ParityTest, AForkGoesItsOwnWayAndOutlivesTheOriginal) {
  auto rows = EncodeAll();
  const int32_t start = model_->config().decoder_start_token_id;
  std::vector<float> logits, forked, again;
  DecodeRow* const original = rows[1].get();
  ASSERT_TRUE(model_->Step({&original, 1}, {start}, &logits).ok());
  auto fork = model_->Fork(*original);
  ASSERT_TRUE(fork.ok()) << fork.status();
  ASSERT_TRUE(model_->Step({&original, 1}, {7}, &logits).ok());
  rows[1].reset();
  DecodeRow* const copy = fork->get();
  EXPECT_EQ(copy->position(), 1);
  ASSERT_TRUE(model_->Step({&copy, 1}, {7}, &forked).ok());
  EXPECT_EQ(forked, logits);
}

TEST_P(TorchT5ParityTest, RejectsWhatDoesNotFit) {
  const std::vector<int32_t> outside = {model_->config().vocab_size};
  EXPECT_EQ(model_->Encode({{.source_ids = {}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model_->Encode({{.source_ids = outside}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  LoraWeights other;
  other.config.r = 1;
  other.modules["encoder.block.9.layer.0.SelfAttention.q"] = {HostTensor::FromFloat32({1}, {1, 1}),
                                                              HostTensor::FromFloat32({1}, {1, 1})};
  const absl::Status status = model_->Prepare(other).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("encoder.block.9"), std::string::npos) << status;
}

INSTANTIATE_TEST_SUITE_P(Golden, TorchT5ParityTest, ::testing::Values("t5-gated", "t5-tied"),
                         [](const auto& info) {
                           return std::string(info.param) == "t5-gated" ? "Gated" : "Tied";
                         });

TEST(TorchT5WeightTypeTest, HalfWeightsStayNearFloat32) {
  const std::vector<Json> rows = ReadLines("t5-gated.logprobs.jsonl");
  auto exact = LoadTorchSeq2SeqModel(kGolden + "t5-gated", {.device = TestDevice()});
  auto half = LoadTorchSeq2SeqModel(kGolden + "t5-gated",
                                    {.device = TestDevice(), .weights = WeightType::kBFloat16});
  ASSERT_TRUE(exact.ok() && half.ok()) << half.status();
  const auto source = rows[3].at("source_ids").get<std::vector<int32_t>>();
  const auto target = rows[3].at("target_ids").get<std::vector<int32_t>>();
  const auto a = (*exact)->ScoreTokens({{source, target}});
  const auto b = (*half)->ScoreTokens({{source, target}});
  ASSERT_TRUE(a.ok() && b.ok()) << b.status();
  double worst = 0;
  for (size_t t = 0; t < target.size(); ++t)
    worst = std::max(worst, std::abs(double{(*a)[0][t]} - (*b)[0][t]));
  EXPECT_LT(worst, 1.0);
  EXPECT_GT(worst, 1e-5) << "the weights were not converted";
  EXPECT_EQ(LoadTorchSeq2SeqModel(std::string(kGolden) + "t5-gated", {.weights = WeightType::kInt8})
                .status()
                .code(),
            absl::StatusCode::kUnimplemented);
}

class TorchRobertaParityTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchRobertaParityTest, LogitsEqualTransformers) {
  auto model = LoadTorchSequenceClassifier(kGolden + GetParam(), {.device = TestDevice()});
  ASSERT_TRUE(model.ok()) << model.status();
  const std::vector<Json> rows = ReadLines(std::string(GetParam()) + ".logits.jsonl");
  std::vector<std::vector<int32_t>> sequences;
  for (const Json& row : rows) sequences.push_back(row.at("input_ids"));
  const auto logits = (*model)->Classify(sequences);
  ASSERT_TRUE(logits.ok()) << logits.status();
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto want = rows[i].at("logits").get<std::vector<double>>();
    ASSERT_EQ((*logits)[i].size(), want.size());
    for (size_t j = 0; j < want.size(); ++j) EXPECT_NEAR((*logits)[i][j], want[j], kTolerance) << i;
  }
  EXPECT_EQ((*model)->Classify({std::vector<int32_t>()}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Golden, TorchRobertaParityTest,
                         ::testing::Values("roberta-2", "roberta-5"), [](const auto& info) {
                           return std::string(info.param) == "roberta-2" ? "TwoLabels"
                                                                         : "FiveLabels";
                         });

}  // namespace nn_torch_parity_test
}  // namespace mellow::nn
