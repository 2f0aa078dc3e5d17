#include "common/nn/weights/model_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace model_hash_test {

constexpr char kIndex[] = R"({"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}})";

class ModelHashTest : public ::testing::Test {
 protected:
  ModelHashTest() {
    Write("config.json", "{}");
    Write("model.safetensors", "weights");
    Write("spiece.model", "words");
  }
  void Write(const std::string& name, const std::string& data) {
    ASSERT_TRUE(WriteFileAtomic(folder_ / name, data).ok());
  }
  std::string Hash() {
    const auto hash = HashModelFolder(folder_.path());
    EXPECT_TRUE(hash.ok()) << hash.status();
    return hash.value_or("");
  }

  mellow::testing::TempFolder folder_;
};

TEST_F(ModelHashTest, EveryFileThatDecidesTheNumbersCounts) {
  Write("tokenizer.json", "{}");
  Write("tokenizer_config.json", "{}");
  Write("special_tokens_map.json", "{}");
  const std::string before = Hash();
  EXPECT_THAT(before, ::testing::MatchesRegex("[0-9a-f]{64}"));
  for (const char* name : {"config.json", "model.safetensors", "spiece.model", "tokenizer.json",
                           "tokenizer_config.json", "special_tokens_map.json"}) {
    const std::string old = *ReadFile(folder_ / name);
    Write(name, old + "x");
    EXPECT_NE(Hash(), before) << name;
    Write(name, old);
    EXPECT_EQ(Hash(), before) << name;
  }
}

TEST_F(ModelHashTest, AFileThatComesCounts) {
  const std::string before = Hash();
  Write("added_tokens.json", "{}");
  EXPECT_NE(Hash(), before);
}

TEST_F(ModelHashTest, WhatIsNotReadDoesNotCountAndNeitherDoesThePlace) {
  const std::string before = Hash();
  Write("pytorch_model.bin", "safetensors come first");
  Write("README.md", "a model");
  EXPECT_EQ(Hash(), before);
  const mellow::testing::TempFolder other;
  for (const char* name : {"config.json", "model.safetensors", "spiece.model"})
    ASSERT_TRUE(WriteFileAtomic(other / name, *ReadFile(folder_ / name)).ok());
  EXPECT_EQ(*HashModelFolder(other.path()), before);
}

TEST_F(ModelHashTest, ShardsCount) {
  std::filesystem::remove(folder_ / "model.safetensors");
  Write("model.safetensors.index.json", kIndex);
  Write("x-1.safetensors", "one");
  EXPECT_TRUE(absl::IsNotFound(HashModelFolder(folder_.path()).status()));
  Write("x-2.safetensors", "two");
  const std::string before = Hash();
  Write("x-2.safetensors", "three");
  EXPECT_NE(Hash(), before);
}

TEST_F(ModelHashTest, TheHashInTheBackgroundIsThatOfTheFolderOrItsError) {
  EXPECT_EQ(*ModelHash(folder_.path()).Get(), Hash());
  std::filesystem::remove(folder_ / "model.safetensors");
  EXPECT_TRUE(absl::IsNotFound(ModelHash(folder_.path()).Get().status()));
}

}  // namespace model_hash_test
}  // namespace mellow::nn
