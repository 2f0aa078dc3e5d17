// Classifiers in the shapes of those that people use, and pairs of texts, against transformers
// (make_classifier_golden.py, which says how the weights follow from the golden file).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "common/nn/load.h"
#include "common/nn/weights/safetensors.h"
#include "common/text/classifier_input.h"
#include "common/text/load_tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace classifier_parity_test {

constexpr double kTolerance = 1e-4;

std::vector<nlohmann::json> ReadLines(const std::string& name) {
  std::ifstream file(SourceTree("/tests/parity/golden/") + name);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  EXPECT_FALSE(lines.empty()) << name;
  return lines;
}

uint64_t Fnv1a(const std::string& text) {
  uint64_t value = 0xCBF29CE484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return value;
}

HostTensor MakeTensor(const std::string& seed, const nlohmann::json& how) {
  const auto shape = how.at("shape").get<std::vector<int64_t>>();
  const double scale = how.at("scale");
  const double offset = how.at("offset");
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  std::vector<float> values(count);
  uint64_t state = Fnv1a(seed);
  for (float& value : values) {
    state += 0x9E3779B97F4A7C15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    value =
        static_cast<float>(offset + scale * (std::ldexp(static_cast<double>(z >> 40), -23) - 1));
  }
  return HostTensor::FromFloat32(std::move(values), shape);
}

void WriteModel(const nlohmann::json& model, const std::string& folder) {
  TensorMap tensors;
  const std::string name = model.at("name");
  for (const auto& [tensor, how] : model.at("tensors").items())
    tensors[tensor] = MakeTensor(name + "/" + tensor, how);
  ASSERT_TRUE(WriteSafetensors(folder + "/model.safetensors", tensors).ok());
  std::ofstream(folder + "/config.json") << model.at("config").dump();
}

void ExpectNear(const std::vector<float>& got, const nlohmann::json& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i].get<double>(), kTolerance) << i;
}

TEST(ClassifierParityTest, LogitsProbabilitiesAndLabelsAreThePipelines) {
  for (const nlohmann::json& line : ReadLines("classifiers.jsonl")) {
    SCOPED_TRACE(line.at("name").get<std::string>());
    const testing::TempFolder folder;
    WriteModel(line, folder.path());
    const auto model = LoadSequenceClassifier(folder.path(), {.threads = 2});
    ASSERT_TRUE(model.ok()) << model.status();
    std::vector<std::vector<int32_t>> ids;
    for (const nlohmann::json& row : line.at("rows"))
      ids.push_back(row.at("ids").get<std::vector<int32_t>>());
    const auto logits = (*model)->Classify(ids);
    ASSERT_TRUE(logits.ok()) << logits.status();
    for (size_t r = 0; r < ids.size(); ++r) {
      SCOPED_TRACE(r);
      const std::vector<float>& row = (*logits)[r];
      const nlohmann::json& want = line.at("rows")[r];
      ExpectNear(row, want.at("logits"));
      ExpectNear(Probabilities(row, (*model)->config().problem_type), want.at("probabilities"));
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      EXPECT_EQ((*model)->config().labels[static_cast<size_t>(best)], want.at("label"));
    }
  }
}

TEST(ClassifierParityTest, PairsOfTextsHaveTheIdsOfTransformers) {
  const auto tokenizer = text::LoadTokenizer(SourceTree("/deploy/models/mini-toxicity"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  for (const nlohmann::json& line : ReadLines("text_pairs.jsonl")) {
    const auto ids = line.at("ids").get<std::vector<int32_t>>();
    const int window = line.at("max_length");
    const auto text = line.at("text").get<std::string>();
    const auto pair = line.at("text_pair").get<std::string>();
    const auto input = text::EncodeForClassifier(**tokenizer, text, pair, window);
    ASSERT_TRUE(input.ok()) << input.status();
    EXPECT_EQ(input->ids, ids) << line;
    const auto whole =
        pair.empty() ? (*tokenizer)->Encode(text) : (*tokenizer)->EncodePair(text, pair);
    ASSERT_TRUE(whole.ok()) << whole.status();
    EXPECT_EQ(input->truncated, whole->size() > ids.size()) << line;
  }
}

}  // namespace classifier_parity_test
}  // namespace mellow::nn
