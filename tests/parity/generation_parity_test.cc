// Every setting of generation against what transformers made of the same folders and requests
// (make_generation_golden.py). Tolerance of log-probs as in nn_cpu_parity_test.cc; ids are equal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/adapters/peft.h"
#include "common/nn/generation/generate.h"
#include "common/nn/generation/logits_processors.h"
#include "common/nn/generation/token_sampler.h"
#include "common/nn/load.h"
#include "common/nn/torch/torch_models.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace generation_parity_test {

using nlohmann::json;

const std::string kGolden = mellow::SourceTree("/tests/parity/golden/");
constexpr double kTolerance = 2e-5;

std::vector<json> ReadLines(const std::string& name) {
  std::ifstream file(kGolden + name);
  EXPECT_TRUE(file.good()) << name;
  std::vector<json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
  return rows;
}

// A golden model under other configuration files.
void WriteFolder(const json& row, const std::string& folder) {
  const std::string from = kGolden + row.at("model").get<std::string>();
  std::filesystem::create_symlink(from + "/model.safetensors", folder + "/model.safetensors");
  json config = json::parse(std::ifstream(from + "/config.json"));
  config.update(row.at("config"));
  std::ofstream(folder + "/config.json") << config.dump();
  if (!row.at("generation_config").is_null())
    std::ofstream(folder + "/generation_config.json") << row.at("generation_config").dump();
}

using Load = absl::StatusOr<std::unique_ptr<Seq2SeqModel>> (*)(const std::string& folder,
                                                               const LoadOptions& options);

class GenerationParityTest : public ::testing::TestWithParam<Load> {};

// Rows of one folder follow each other.
std::vector<std::vector<json>> RowsByFolder() {
  std::vector<std::vector<json>> folders;
  std::string of;
  for (const json& row : ReadLines("generation.jsonl")) {
    const std::string folder = row.at("model").get<std::string>() + row.at("config").dump() +
                               row.at("generation_config").dump();
    if (folder != of) folders.emplace_back();
    folders.back().push_back(row);
    of = folder;
  }
  return folders;
}

void Compare(const GeneratedSequence& sequence, const json& row) {
  const std::string where = row.at("model").get<std::string>() + row.at("config").dump() +
                            row.at("generation_config").dump() + " " + row.at("request").dump();
  ASSERT_EQ(sequence.ids, row.at("ids").get<std::vector<int32_t>>()) << where;
  EXPECT_EQ(sequence.finish == FinishReason::kEos, row.at("finish") == "eos") << where;
  const auto logprobs = row.at("logprobs").get<std::vector<double>>();
  ASSERT_EQ(sequence.logprobs.size(), logprobs.size());
  for (size_t t = 0; t < logprobs.size(); ++t)
    EXPECT_NEAR(sequence.logprobs[t], logprobs[t], kTolerance) << where << " token " << t;
}

TEST_P(GenerationParityTest, EverySettingGivesTheIdsOfTransformers) {
  for (const std::vector<json>& rows : RowsByFolder()) {
    const mellow::testing::TempFolder folder;
    WriteFolder(rows[0], folder.path());
    const auto model = GetParam()(folder.path(), {});
    ASSERT_TRUE(model.ok()) << model.status();
    const T5Config& config = (*model)->config();
    std::vector<GenerateItem> items;
    for (const json& row : rows) {
      const auto params = ReadSampling(*mellow::json::Parse(row.at("request").dump(), "request"),
                                       config.generation.Defaults(128, 512), config.vocab_size);
      ASSERT_TRUE(params.ok()) << params.status();
      items.push_back(
          {.source_ids = row.at("source_ids").get<std::vector<int32_t>>(), .params = *params});
      items.back().mask_padding = true;
    }
    const auto made = Generate(**model, items);
    ASSERT_TRUE(made.ok()) << made.status();
    for (size_t i = 0; i < rows.size(); ++i) Compare((*made)[i], rows[i]);
  }
}

TEST_P(GenerationParityTest, APadThatATextSpellsOutIsAttendedToAsInRolloutsOfTrl) {
  const auto model = GetParam()(kGolden + "ppo/gated", {});
  ASSERT_TRUE(model.ok()) << model.status();
  const auto adapter = (*model)->Prepare(*adapters::ReadPeftFolder(kGolden + "ppo/gated-qv"));
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  int rows = 0;
  for (const json& row : ReadLines("pads.jsonl")) {
    const auto source = row.at("source_ids").get<std::vector<int32_t>>();
    const auto ids = row.at("ids").get<std::vector<int32_t>>();
    const auto logprobs = row.at("logprobs").get<std::vector<float>>();
    std::vector<GenerateItem> items(2);
    for (GenerateItem& item : items) {
      item.source_ids = source;
      item.params.max_new_tokens = 12;
      item.adapter = adapter->get();
    }
    items[1].mask_padding = true;  // as generate() has it where there is no attention mask
    const auto made = Generate(**model, items);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ((*made)[0].ids, ids) << row;
    EXPECT_EQ((*made)[1].ids, row.at("alone").get<std::vector<int32_t>>()) << row;
    const auto scored = (*model)->ScoreTokens({{source, ids, adapter->get()}});
    ASSERT_TRUE(scored.ok()) << scored.status();
    EXPECT_THAT((*scored)[0], ::testing::Pointwise(::testing::FloatNear(kTolerance), logprobs));
    EXPECT_THAT((*made)[0].logprobs,
                ::testing::Pointwise(::testing::FloatNear(kTolerance), logprobs));
    ++rows;
  }
  EXPECT_EQ(rows, 8);
}

INSTANTIATE_TEST_SUITE_P(Backends, GenerationParityTest,
                         ::testing::Values(&LoadSeq2SeqModel, &LoadTorchSeq2SeqModel),
                         [](const auto& info) { return info.index == 0 ? "Cpu" : "Torch"; });

// The 99.99 % quantile of chi-square by the approximation of Wilson and Hilferty.
double ChiSquareBound(int degrees) {
  const double spread = 2.0 / (9 * degrees);
  return degrees * std::pow(1 - spread + 3.719 * std::sqrt(spread), 3);
}

// Processors come before temperature and the other warpers. Pearson's chi-square over 20,000 draws
// against transformers' distribution; the seed is fixed.
TEST(SamplingParityTest, SamplesFollowTheDistributionOfTransformers) {
  constexpr int kDraws = 20000;
  int lines = 0;
  for (const json& row : ReadLines("sampling.jsonl")) {
    const auto logits = row.at("logits").get<std::vector<float>>();
    const auto generated = row.at("generated").get<std::vector<int32_t>>();
    const auto source = row.at("source_ids").get<std::vector<int32_t>>();
    const auto p = row.at("probabilities").get<std::vector<double>>();
    T5Config config;
    config.vocab_size = static_cast<int>(logits.size());
    SamplingParams defaults;
    defaults.do_sample = true;
    defaults.seed = 17;
    const auto params = ReadSampling(*mellow::json::Parse(row.at("request").dump(), "request"),
                                     defaults, config.vocab_size);
    ASSERT_TRUE(params.ok()) << params.status();
    std::vector<float> scores = logits;
    ASSERT_TRUE(LogitsProcessors(config, *params, source).Apply(generated, absl::MakeSpan(scores)));
    std::vector<int> counts(p.size());
    for (uint64_t i = 0; i < kDraws; ++i) {
      const SampledToken token = SampleToken(
          logits, scores, *params, static_cast<int>(generated.size()), {.prompt_index = i});
      ++counts[static_cast<size_t>(token.id)];
    }
    double chi2 = 0;
    int cells = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i] == 0) {
        EXPECT_EQ(counts[i], 0) << "token " << i << " is excluded: " << row.at("request");
        continue;
      }
      ++cells;
      chi2 += (counts[i] - p[i] * kDraws) * (counts[i] - p[i] * kDraws) / (p[i] * kDraws);
    }
    ASSERT_GE(cells, 2);
    EXPECT_LT(chi2, ChiSquareBound(cells - 1)) << row.at("request");
    ++lines;
  }
  EXPECT_EQ(lines, 17);
}

// How often each output of beam sampling comes, against how often it came of transformers: the
// chi-square of two samples, what is rare in one bin.
TEST(SamplingParityTest, BeamsAreDrawnAsOftenAsByTransformers) {
  constexpr int kDraws = 4000;
  int lines = 0;
  for (const json& row : ReadLines("beam_sampling.jsonl")) {
    const auto model = LoadSeq2SeqModel(kGolden + row.at("model").get<std::string>(), {});
    ASSERT_TRUE(model.ok()) << model.status();
    const auto params = ReadSampling(*mellow::json::Parse(row.at("request").dump(), "request"), {},
                                     (*model)->config().vocab_size);
    ASSERT_TRUE(params.ok()) << params.status();
    std::map<std::vector<int32_t>, double> theirs, ours;
    double rest = row.at("draws").get<double>(), ours_rest = kDraws;
    for (const json& pair : row.at("counts")) {
      theirs[pair[0].get<std::vector<int32_t>>()] = pair[1].get<double>();
      rest -= pair[1].get<double>();
    }
    std::vector<GenerateItem> items;
    for (uint64_t i = 0; i < kDraws; ++i) {
      items.push_back({.source_ids = row.at("source_ids").get<std::vector<int32_t>>(),
                       .params = *params,
                       .stream = {.prompt_index = i}});
      if (items.size() < 200) continue;
      const auto made = Generate(**model, items);
      ASSERT_TRUE(made.ok()) << made.status();
      for (const GeneratedSequence& sequence : *made) {
        if (theirs.count(sequence.ids) == 0) continue;
        ++ours[sequence.ids];
        --ours_rest;
      }
      items.clear();
    }
    double chi2 = 0;
    int bins = 0;
    const double ratio = std::sqrt(row.at("draws").get<double>() / kDraws);
    const auto add = [&](double n, double m) {
      if (n + m == 0) return;
      ++bins;
      chi2 += (n * ratio - m / ratio) * (n * ratio - m / ratio) / (n + m);
    };
    for (const auto& [ids, count] : theirs) add(ours[ids], count);
    add(ours_rest, rest);
    ASSERT_GE(bins, 3);
    EXPECT_LT(chi2, ChiSquareBound(bins - 1)) << row.at("model") << row.at("request");
    ++lines;
  }
  EXPECT_EQ(lines, 10);
}

}  // namespace generation_parity_test
}  // namespace mellow::nn
