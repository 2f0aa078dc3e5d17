#include "common/adapters/peft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/nn/weights/safetensors.h"
#include "common/nn/weights/torch_zip.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::adapters {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nn::HostTensor;
using nn::LoraWeights;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr char kModule[] = "encoder.block.0.layer.0.SelfAttention.q";

LoraWeights Small() {
  LoraWeights lora;
  lora.config = {.r = 2,
                 .lora_alpha = 4,
                 .lora_dropout = 0.05,
                 .target_modules = {"q", "v"},
                 .base_model_name_or_path = "base"};
  lora.modules[kModule] = {HostTensor::FromFloat32({1, 2, 3, 4, 5, 6}, {2, 3}),
                           HostTensor::FromFloat32({7, 8, 9, 10}, {2, 2})};
  lora.modules["decoder.block.1.layer.1.EncDecAttention.v"] = {
      HostTensor::FromFloat32({0.5f, -0.5f}, {2, 1}), HostTensor::FromFloat32({1, 0}, {1, 2})};
  return lora;
}

json Config() { return json::parse(SerializePeft(Small()).config_json); }

absl::Status ParseConfig(const json& config) {
  PeftFiles files = SerializePeft(Small());
  files.config_json = config.dump();
  return ParsePeft(files).status();
}

absl::Status ParseTensors(const nn::TensorMap& tensors) {
  PeftFiles files = SerializePeft(Small());
  files.safetensors = nn::SerializeSafetensors(tensors, {});
  return ParsePeft(files).status();
}

void ExpectEqual(const LoraWeights& a, const LoraWeights& b) {
  EXPECT_EQ(a.config.r, b.config.r);
  EXPECT_EQ(a.config.lora_alpha, b.config.lora_alpha);
  EXPECT_EQ(a.config.lora_dropout, b.config.lora_dropout);
  EXPECT_EQ(a.config.use_rslora, b.config.use_rslora);
  EXPECT_EQ(a.config.target_modules, b.config.target_modules);
  EXPECT_EQ(a.config.base_model_name_or_path, b.config.base_model_name_or_path);
  EXPECT_EQ(a.config.task_type, b.config.task_type);
  ASSERT_EQ(a.modules.size(), b.modules.size());
  for (const auto& [name, pair] : a.modules) {
    ASSERT_EQ(b.modules.count(name), 1u) << name;
    EXPECT_EQ(pair.a.shape, b.modules.at(name).a.shape);
    EXPECT_EQ(pair.a.ToFloat32(), b.modules.at(name).a.ToFloat32());
    EXPECT_EQ(pair.b.shape, b.modules.at(name).b.shape);
    EXPECT_EQ(pair.b.ToFloat32(), b.modules.at(name).b.ToFloat32());
  }
}

double ScalingOf(const LoraWeights& lora, const std::string& module) {
  return lora.config.ScalingOf(module, lora.modules.at(module).a.shape[0]);
}

TEST(PeftTest, WhatIsWrittenIsRead) {
  testing::TempFolder folder;
  LoraWeights lora = Small();
  lora.config.use_rslora = true;
  lora.config.lora_alpha = 2.5;
  ASSERT_TRUE(WritePeftFolder(folder / "adapter", lora).ok());
  const auto read = ReadPeftFolder(folder / "adapter");
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectEqual(lora, *read);
  EXPECT_EQ(ContentHash(lora), ContentHash(*read));
}

TEST(PeftTest, RanksAndAlphasOfModulesSurviveByFullNames) {
  PeftFiles files = SerializePeft(Small());
  json config = Config();
  config.update({{"target_modules", ".*SelfAttention.*"},
                 {"rank_pattern", {{"encoder.*", 2}}},
                 {"alpha_pattern", {{"encoder.*q", 3}}},
                 {"r", 7},
                 {"use_rslora", true},
                 {"peft_version", "0.21.2"}});
  files.config_json = config.dump();
  LoraWeights small = Small();
  small.modules.erase("decoder.block.1.layer.1.EncDecAttention.v");
  files.safetensors = SerializePeft(small).safetensors;
  const auto read = ParsePeft(files);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_DOUBLE_EQ(ScalingOf(*read, kModule), 3 / std::sqrt(2));
  const PeftFiles written = SerializePeft(*read);
  const json again = json::parse(written.config_json);
  EXPECT_EQ(again["target_modules"], json({kModule}));
  EXPECT_EQ(again["rank_pattern"], json({{kModule, 2}}));
  EXPECT_EQ(again["alpha_pattern"], json({{kModule, 3}}));
  EXPECT_EQ(again["r"], 7);
  const auto reread = ParsePeft(written);
  ASSERT_TRUE(reread.ok()) << reread.status();
  EXPECT_DOUBLE_EQ(ScalingOf(*reread, kModule), 3 / std::sqrt(2));
}

// Ranks and alphas are written by name.
TEST(PeftTest, NamesThatPatternsCannotTellApartAreRefused) {
  LoraWeights lora = Small();
  lora.modules["x.q"] = lora.modules[kModule];
  lora.modules["q"] = lora.modules[kModule];
  EXPECT_TRUE(ParsePeft(SerializePeft(lora)).ok());
  lora.config.module_alphas["q"] = 5;
  const absl::Status status = ParsePeft(SerializePeft(lora)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("q and ", kModule, " cannot be told apart by rank_pattern")));
}

TEST(PeftTest, CopiesOfBaseTensorsAreKeptForTheComparison) {
  LoraWeights lora = Small();
  lora.base_copies["lm_head.base_layer.weight"] = HostTensor::FromFloat32({1, 2}, {1, 2});
  const auto read = ParsePeft(SerializePeft(lora));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->base_copies.count("lm_head.base_layer.weight"), 1u);
  EXPECT_THAT(read->base_copies.at("lm_head.base_layer.weight").ToFloat32(), ElementsAre(1, 2));
  EXPECT_EQ(ContentHash(*read), ContentHash(Small()));
}

TEST(PeftTest, TheBaseAndItsRevisionAreNamed) {
  LoraWeights lora = Small();
  lora.config.revision = "abc";
  const auto read = ParsePeft(SerializePeft(lora));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->config.base_model_name_or_path, "base");
  EXPECT_EQ(read->config.revision, "abc");
  EXPECT_EQ(Config()["revision"], nullptr);
}

TEST(PeftTest, WritesTheNamesAndFieldsThatPeftExpects) {
  testing::TempFolder folder;
  ASSERT_TRUE(WritePeftFolder(folder / "adapter", Small()).ok());
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder / "adapter"))
    files.push_back(entry.path().filename().string());
  EXPECT_THAT(
      files, UnorderedElementsAre("README.md", "adapter_config.json", "adapter_model.safetensors"));
  EXPECT_THAT(*ReadFile(folder / "adapter/README.md"), HasSubstr(ContentHash(Small())));
  const auto tensors = nn::ReadSafetensors(folder / "adapter/adapter_model.safetensors");
  ASSERT_TRUE(tensors.ok());
  EXPECT_EQ(tensors->count(std::string("base_model.model.") + kModule + ".lora_A.weight"), 1u);
  EXPECT_EQ(tensors->count(std::string("base_model.model.") + kModule + ".lora_B.weight"), 1u);
  const json config = Config();
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["task_type"], "SEQ_2_SEQ_LM");
  EXPECT_EQ(config["bias"], "none");
  EXPECT_EQ(config["inference_mode"], true);
  EXPECT_EQ(config["fan_in_fan_out"], false);
  EXPECT_EQ(config["target_modules"], json({"q", "v"}));
  EXPECT_TRUE(config["lora_alpha"].is_number_integer());
}

TEST(PeftTest, OverwritingReplacesTheWholeFolder) {
  testing::TempFolder folder;
  ASSERT_TRUE(MakeFolders(folder / "adapter").ok());
  ASSERT_TRUE(WriteFileAtomic(folder / "adapter/old", "x").ok());
  ASSERT_TRUE(WritePeftFolder(folder / "adapter", Small()).ok());
  EXPECT_FALSE(fs::exists(folder / "adapter/old"));
  EXPECT_TRUE(ReadPeftFolder(folder / "adapter").ok());
}

TEST(PeftTest, HalfPrecisionAdaptersBecomeFloat32) {
  nn::TensorMap tensors;
  for (const char* part : {"A", "B"}) {
    auto bytes = std::make_shared<std::vector<uint8_t>>(
        std::vector<uint8_t>{0x00, 0x3c, 0x00, 0xc0, 0, 0x3c, 0, 0x3c});
    tensors[std::string("base_model.model.q.lora_") + part + ".weight"] = {
        nn::DType::kFloat16, {2, 2}, *bytes, bytes};
  }
  PeftFiles files = SerializePeft(Small());
  files.safetensors = nn::SerializeSafetensors(tensors, {});
  const auto lora = ParsePeft(files);
  ASSERT_TRUE(lora.ok()) << lora.status();
  EXPECT_EQ(lora->modules.at("q").a.dtype, nn::DType::kFloat32);
  EXPECT_THAT(lora->modules.at("q").a.ToFloat32(), ElementsAre(1, -2, 1, 1));
}

TEST(PeftTest, RefusesWhatChangesTheNumbersByName) {
  const std::pair<const char*, json> kCases[] = {
      {"use_dora", true},
      {"lora_bias", true},
      {"rank_pattern", {{"q", 0}}},
      {"rank_pattern", {{"q", 2.5}}},
      {"rank_pattern", {"q"}},
      {"rank_pattern", {{"(q", 2}}},
      {"rank_pattern", {{"q(?!x)", 2}}},
      {"alpha_pattern", {{"q", -4}}},
      {"alpha_pattern", {{"q", "4"}}},
      {"modules_to_save", {"lm_head"}},
      {"bias", "some"},
      {"bias", true},
      {"layer_replication", {{0, 4}}},
      {"fan_in_fan_out", "yes"},
      {"layers_to_transform", "1"},
      {"layers_to_transform", {"1"}},
      {"exclude_modules", 7},
      {"exclude_modules", {7}},
      {"exclude_modules", "(q|"},
      {"trainable_token_indices", {1, 2}},
      {"target_parameters", {"q.weight"}},
      {"use_qalora", true},
      {"use_bdlora", {{"nblocks", 2}}},
      {"kasa_config", {{"beta", 1}}},
      {"monteclora_config", {{"x", 1}}},
      {"arrow_config", {{"top_k", 3}}},
      {"alora_invocation_tokens", {1, 2}},
      {"megatron_config", {{"x", 1}}},
      {"ensure_weight_tying", true},
      {"some_future_field", {{"x", 1}}},
      {"init_lora_weights", "pissa_niter_4"},
      {"init_lora_weights", "olora"},
      {"init_lora_weights", "corda"},
      {"init_lora_weights", "loftq"},
      {"init_lora_weights", "lora_ga"},
      {"peft_type", "IA3"},
      {"peft_type", nullptr},
      {"target_modules", "(.*\\.q"},
      {"target_modules", "(?=encoder).*q"},
      {"target_modules", ".*q{,3}"},
      {"target_modules", ".*+q"},
      {"target_modules", ""},
      {"target_modules", json::array()},
      {"target_modules", nullptr},
      {"target_modules", {1}},
      {"r", 0},
      {"r", "8"},
      {"lora_alpha", -1},
      {"use_rslora", "yes"},
      {"lora_dropout", 2},
  };
  for (const auto& [field, value] : kCases) {
    json config = Config();
    config[field] = value;
    const absl::Status status = ParseConfig(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field << value << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(field) + " is "));
    EXPECT_THAT(std::string(status.message()), HasSubstr("adapter_config.json"));
  }
}

TEST(PeftTest, AcceptsNeutralFields) {
  json config = Config();
  config.update({{"some_future_field", nullptr},
                 {"another_future_field", false},
                 {"eva_config", {{"rho", 2.0}}},
                 {"corda_config", {{"corda_method", "ipm"}}},
                 {"loftq_config", json::object()},
                 {"lora_ga_config", nullptr},
                 {"velora_config", {{"num_groups", 2}}},
                 {"runtime_config", {{"ephemeral_gpu_offload", false}}},
                 {"auto_mapping", {{"base_model_class", "T5ForConditionalGeneration"}}},
                 {"qalora_group_size", 16},
                 {"peft_version", "0.21.2"},
                 {"bias", "all"},
                 {"fan_in_fan_out", true},
                 {"exclude_modules", {"lm_head"}},
                 {"use_dora", false},
                 {"rank_pattern", json::object()},
                 {"modules_to_save", nullptr},
                 {"layer_replication", nullptr},
                 {"init_lora_weights", "mica"},
                 {"layers_pattern", "block"},
                 {"revision", "main"},
                 {"inference_mode", false},
                 {"megatron_core", "megatron.core"}});
  EXPECT_TRUE(ParseConfig(config).ok()) << ParseConfig(config);
}

TEST(PeftTest, TheConfigMustBeJson) {
  PeftFiles files = SerializePeft(Small());
  for (const char* text : {"", "[]", "{\"r\": 8", "{\"r\": 8, \"r\": 8}"}) {
    files.config_json = text;
    EXPECT_TRUE(absl::IsInvalidArgument(ParsePeft(files).status())) << text;
  }
}

TEST(PeftTest, TensorsThatDoNotFitAreNamed) {
  const std::string a = std::string("base_model.model.") + kModule + ".lora_A.weight";
  const std::string b = std::string("base_model.model.") + kModule + ".lora_B.weight";
  const HostTensor a_good = HostTensor::FromFloat32({1, 2, 3, 4, 5, 6}, {2, 3});
  const HostTensor b_good = HostTensor::FromFloat32({1, 2, 3, 4}, {2, 2});
  ASSERT_TRUE(ParseTensors({{a, a_good}, {b, b_good}}).ok())
      << ParseTensors({{a, a_good}, {b, b_good}});
  const std::pair<nn::TensorMap, const char*> kCases[] = {
      {{{a, a_good}}, "has A but no B"},
      {{{b, b_good}}, "has B but no A"},
      {{{a, HostTensor::FromFloat32({1, 2, 3}, {1, 3})}, {b, b_good}}, "do not fit each other"},
      {{{a, a_good}, {b, HostTensor::FromFloat32({1, 2}, {2, 1})}}, "do not fit each other"},
      {{{a, a_good}, {b, HostTensor::FromFloat32({1, 2}, {2})}}, "do not fit each other"},
      {{{a, HostTensor::FromFloat32({1, 2, 3}, {1, 3})},
        {b, HostTensor::FromFloat32({1, 2}, {2, 1})}},
       "do not fit r 2"},
      {{{a, a_good}, {b, b_good}, {"base_model.model.q.lora_magnitude_vector", b_good}},
       "base_model.model.q.lora_magnitude_vector"},
      {{{"q.lora_A.weight", a_good}},
       "names of tensors must begin with \"base_model.model.\", of others PEFT loads nothing: "
       "q.lora_A.weight"},
      {{{"base_model.model.x.wo.lora_A.weight", a_good},
        {"base_model.model.x.wo.lora_B.weight", b_good}},
       "x.wo is not among target_modules"},
      {{{"base_model.model.xq.lora_A.weight", a_good},
        {"base_model.model.xq.lora_B.weight", b_good}},
       "xq is not among target_modules"},
      {{}, "none"},
  };
  for (const auto& [tensors, words] : kCases) {
    const absl::Status status = ParseTensors(tensors);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << words << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  }
}

TEST(PeftTest, NumbersThatAreNotFiniteAreDataLossWithTheTensorsName) {
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF}) {
    LoraWeights lora = Small();
    lora.modules[kModule].b = HostTensor::FromFloat32({7, 8, bad, 10}, {2, 2});
    const absl::Status status = ParsePeft(SerializePeft(lora)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("SelfAttention.q.lora_B.weight: element 2"));
  }
}

TEST(PeftTest, DamagedFilesAreDataLoss) {
  PeftFiles files = SerializePeft(Small());
  files.safetensors.pop_back();
  EXPECT_TRUE(absl::IsDataLoss(ParsePeft(files).status()));
}

TEST(PeftTest, MissingFilesAreNotFoundAndNamed) {
  testing::TempFolder folder;
  EXPECT_TRUE(absl::IsNotFound(ReadPeftFolder(folder / "absent").status()));
  ASSERT_TRUE(WritePeftFolder(folder / "adapter", Small()).ok());
  fs::remove(folder / "adapter/adapter_model.safetensors");
  const absl::Status status = ReadPeftFolder(folder / "adapter").status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("adapter_model.safetensors"));
}

// The definition, spelled out once more.
TEST(ContentHashTest, IsOverNamesShapesAndValuesInNameOrder) {
  const LoraWeights lora = Small();
  std::string bytes;
  const auto add = [&bytes](const std::string& name, std::vector<uint64_t> shape,
                            const std::vector<float>& values) {
    bytes += "base_model.model." + name;
    bytes.push_back('\0');
    const auto number = [&bytes](uint64_t value, int width) {
      for (int i = 0; i < width; ++i) bytes.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
    };
    number(shape.size(), 4);
    for (const uint64_t size : shape) number(size, 8);
    for (const float value : values) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof(bits));
      number(bits, 4);
    }
  };
  add("decoder.block.1.layer.1.EncDecAttention.v.lora_A.weight", {2, 1}, {0.5f, -0.5f});
  add("decoder.block.1.layer.1.EncDecAttention.v.lora_B.weight", {1, 2}, {1, 0});
  add(std::string(kModule) + ".lora_A.weight", {2, 3}, {1, 2, 3, 4, 5, 6});
  add(std::string(kModule) + ".lora_B.weight", {2, 2}, {7, 8, 9, 10});
  EXPECT_EQ(ContentHash(lora), Sha256Hex(bytes));
}

TEST(ContentHashTest, ChangesWithEveryPartAndNotWithTheConfig) {
  const std::string hash = ContentHash(Small());
  LoraWeights other = Small();
  other.config.lora_alpha = 1;
  EXPECT_EQ(ContentHash(other), hash);
  other.modules[kModule].a = HostTensor::FromFloat32({1, 2, 3, 4, 5, 6.5f}, {2, 3});
  EXPECT_NE(ContentHash(other), hash);
  other.modules[kModule].a = HostTensor::FromFloat32({1, 2, 3, 4, 5, 6}, {3, 2});
  EXPECT_NE(ContentHash(other), hash);
  other = Small();
  other.modules["renamed"] = std::move(other.modules.extract(kModule).mapped());
  EXPECT_NE(ContentHash(other), hash);
}

// What the releases of PEFT write into a config that people make without further ado.
TEST(PublishedAdaptersTest, ConfigsOfEveryAgeAreAccepted) {
  json config = {{"base_model_name_or_path", "google/flan-t5-base"},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"inference_mode", true},
                 {"init_lora_weights", true},
                 {"lora_alpha", 32},
                 {"lora_dropout", 0.05},
                 {"modules_to_save", nullptr},
                 {"peft_type", "LORA"},
                 {"r", 32},
                 {"target_modules", {"q", "v"}},
                 {"task_type", "SEQ_2_SEQ_LM"}};
  const json since_2023 = {{"auto_mapping", nullptr},
                           {"layers_pattern", nullptr},
                           {"layers_to_transform", nullptr},
                           {"revision", nullptr}};
  const json since_2025 = {{"alpha_pattern", json::object()},
                           {"rank_pattern", json::object()},
                           {"corda_config", nullptr},
                           {"eva_config", nullptr},
                           {"exclude_modules", nullptr},
                           {"layer_replication", nullptr},
                           {"loftq_config", json::object()},
                           {"lora_bias", false},
                           {"megatron_config", nullptr},
                           {"megatron_core", "megatron.core"},
                           {"use_dora", false},
                           {"use_rslora", false},
                           {"trainable_token_indices", nullptr}};
  for (const json& added : {json::object(), since_2023, since_2025}) {
    config.update(added);
    PeftFiles files = SerializePeft(Small());
    files.config_json = config.dump();
    // r is 2 in these tensors: the config is fine, the tensors do not fit it.
    const absl::Status status = ParsePeft(files).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << config << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("do not fit r 32"));
  }
}

// torch_adapter.bin: make_torch_adapter.py.
TEST(PublishedAdaptersTest, BinAndSafetensorsOfOneAdapterAreEqual) {
  const std::string folder = mellow::SourceTree("/tests/parity/golden/lora-r4-qv");
  const std::string bin = mellow::SourceTree("/tests/common/adapters/torch_adapter.bin");
  const auto torch = nn::ReadTorchZip(bin);
  const auto safe = nn::ReadSafetensors(folder + "/adapter_model.safetensors");
  ASSERT_TRUE(torch.ok()) << torch.status();
  ASSERT_TRUE(safe.ok()) << safe.status();
  ASSERT_EQ(torch->size(), safe->size());
  for (const auto& [name, tensor] : *safe) {
    ASSERT_EQ(torch->count(name), 1u) << name;
    EXPECT_EQ(torch->at(name).dtype, tensor.dtype);
    EXPECT_EQ(torch->at(name).shape, tensor.shape);
    EXPECT_TRUE(torch->at(name).bytes == tensor.bytes) << name;
  }
  // And through the adapter reader, which takes .bin when there is nothing else.
  testing::TempFolder copy;
  fs::copy_file(folder + "/adapter_config.json", copy / "adapter_config.json");
  fs::copy_file(bin, copy / "adapter_model.bin");
  const auto from_torch = ReadPeftFolder(copy.path());
  const auto from_safe = ReadPeftFolder(folder);
  ASSERT_TRUE(from_torch.ok()) << from_torch.status();
  ASSERT_TRUE(from_safe.ok()) << from_safe.status();
  EXPECT_EQ(from_safe->modules.size() * 2, safe->size());
  EXPECT_EQ(ContentHash(*from_torch), ContentHash(*from_safe));
}

}  // namespace
}  // namespace mellow::adapters
