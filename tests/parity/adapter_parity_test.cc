// Adapters as PEFT 0.13.2 and 0.21.2 save them (golden/adapters, by make_adapter_golden.py): the
// log-probs of both backends, those of the folder that Mellow writes of them, and TRL's value head.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/adapters/peft.h"
#include "common/nn/load.h"
#include "common/nn/torch/torch_models.h"
#include "common/nn/value_head.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow {
namespace adapter_parity_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string kGolden = SourceTree("/tests/parity/golden/");
constexpr double kTolerance = 1e-4;
constexpr char kCopy[] = "lm_head.base_layer.weight";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGolden + "adapters"))
    if (entry.is_directory()) names.push_back(entry.path().filename());
  return names;
}

std::vector<Json> Rows(const std::string& name) {
  std::ifstream file(kGolden + "adapters/" + name + ".logprobs.jsonl");
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  EXPECT_FALSE(rows.empty()) << name;
  return rows;
}

std::unique_ptr<nn::Seq2SeqModel> Load(const std::string& name, bool torch) {
  const std::string folder = kGolden + name;
  auto model = torch ? nn::LoadTorchSeq2SeqModel(folder, {}) : nn::LoadSeq2SeqModel(folder, {});
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? *std::move(model) : nullptr;
}

nn::LoraWeights Read(const std::string& folder) {
  auto lora = adapters::ReadPeftFolder(folder);
  EXPECT_TRUE(lora.ok()) << lora.status();
  return lora.ok() ? *std::move(lora) : nn::LoraWeights();
}

void ExpectGolden(nn::Seq2SeqModel* model, const nn::LoraWeights& lora,
                  const std::vector<Json>& rows) {
  const auto prepared = model->Prepare(lora);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  for (const Json& row : rows) {
    const std::vector<int32_t> source = row.at("source_ids");
    const std::vector<int32_t> target = row.at("target_ids");
    const std::vector<nn::ScoreRequest> requests = {{source, target, prepared->get()}};
    const auto got = model->ScoreTokens(requests);
    ASSERT_TRUE(got.ok()) << got.status();
    const std::vector<double> want = row.at("logprobs");
    ASSERT_EQ(got->at(0).size(), want.size());
    for (size_t t = 0; t < want.size(); ++t) EXPECT_NEAR(got->at(0)[t], want[t], kTolerance) << t;
  }
}

class AdapterParityTest : public ::testing::TestWithParam<std::string> {};

TEST_P(AdapterParityTest, BothBackendsSayWhatPeftSays) {
  const nn::LoraWeights lora = Read(kGolden + "adapters/" + GetParam());
  const std::vector<Json> rows = Rows(GetParam());
  for (const bool torch : {false, true}) {
    SCOPED_TRACE(torch ? "torch" : "cpu");
    ExpectGolden(Load(rows[0].at("base"), torch).get(), lora, rows);
  }
}

TEST_P(AdapterParityTest, SurvivesBeingWritten) {
  const nn::LoraWeights lora = Read(kGolden + "adapters/" + GetParam());
  testing::TempFolder folder;
  ASSERT_TRUE(adapters::WritePeftFolder(folder / "adapter", lora).ok());
  const nn::LoraWeights again = Read(folder / "adapter");
  EXPECT_EQ(adapters::ContentHash(again), adapters::ContentHash(lora));
  const std::vector<Json> rows = Rows(GetParam());
  ExpectGolden(Load(rows[0].at("base"), false).get(), again, rows);
}

INSTANTIATE_TEST_SUITE_P(Golden, AdapterParityTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

// The same adapter decoded step by step, where the head is another code path.
TEST(AdaptedHeadTest, BackendsAgreeStepByStep) {
  const nn::LoraWeights lora = Read(kGolden + "adapters/head");
  const Json row = Rows("head")[0];
  const std::vector<int32_t> source = row.at("source_ids");
  const std::vector<int32_t> target = row.at("target_ids");
  for (const bool torch : {false, true}) {
    const auto model = Load("t5-tied", torch);
    const auto prepared = model->Prepare(lora);
    ASSERT_TRUE(prepared.ok()) << prepared.status();
    const std::vector<nn::EncodeRequest> requests = {{source, prepared->get(), 64}};
    auto rows = model->Encode(requests);
    ASSERT_TRUE(rows.ok()) << rows.status();
    int32_t token = model->config().decoder_start_token_id;
    for (size_t t = 0; t < target.size(); ++t) {
      nn::DecodeRow* const decode[] = {rows->at(0).get()};
      std::vector<float> logits;
      ASSERT_TRUE(model->Step(decode, absl::MakeConstSpan(&token, 1), &logits).ok());
      double sum = 0;
      for (const float logit : logits) sum += std::exp(double{logit});
      EXPECT_NEAR(logits[static_cast<size_t>(target[t])] - std::log(sum),
                  row.at("logprobs")[t].get<double>(), kTolerance)
          << torch << t;
      token = target[t];
    }
  }
}

TEST(BaseCopyTest, OneThatDiffersIsRefusedByName) {
  for (const bool torch : {false, true}) {
    const auto model = Load("t5-tied", torch);
    nn::LoraWeights lora = Read(kGolden + "adapters/head");
    ASSERT_EQ(lora.base_copies.count(kCopy), 1u);
    std::vector<float> values = lora.base_copies[kCopy].ToFloat32();
    values[5] += 0.5f;
    lora.base_copies[kCopy] =
        nn::HostTensor::FromFloat32(std::move(values), lora.base_copies[kCopy].shape);
    absl::Status status = model->Prepare(lora).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(),
                                  "lm_head.base_layer.weight differs from the model's in 1 of"))
        << status;

    lora.base_copies = {{kCopy, nn::HostTensor::FromFloat32({1, 2}, {1, 2})}};
    status = model->Prepare(lora).status();
    EXPECT_TRUE(absl::StrContains(status.message(), "is [1, 2], the model has")) << status;

    lora.base_copies = {{"classifier.weight", nn::HostTensor::FromFloat32({1, 2}, {1, 2})}};
    status = model->Prepare(lora).status();
    EXPECT_TRUE(absl::StrContains(status.message(), "classifier.weight is no tensor of the model"))
        << status;
  }
}

// pytorch_model.bin as TRL 0.11.3 saves it beside a PEFT adapter.
TEST(TrlValueHeadTest, IsReadFromATorchFile) {
  std::ifstream file(kGolden + "adapters/trl-value-head.json");
  const Json want = Json::parse(file);
  const std::vector<float> weight = want.at("weight");
  const auto head = nn::ReadValueHead(kGolden + "adapters/trl-value-head.bin",
                                      static_cast<int64_t>(weight.size()));
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->weight, weight);
  EXPECT_EQ(head->bias, want.at("bias").get<float>());
  const auto wrong = nn::ReadValueHead(kGolden + "adapters/trl-value-head.bin", 7);
  EXPECT_TRUE(absl::IsFailedPrecondition(wrong.status())) << wrong.status();
}

}  // namespace adapter_parity_test
}  // namespace mellow
