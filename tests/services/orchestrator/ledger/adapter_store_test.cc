#include "services/orchestrator/ledger/adapter_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

class AdapterStoreTest : public ::testing::Test {
 protected:
  static nn::LoraWeights MakeLora() {
    nn::LoraWeights lora;
    lora.config = {.r = 1, .lora_alpha = 2, .target_modules = {"q"}};
    lora.modules["encoder.block.0.layer.0.SelfAttention.q"] = {
        nn::HostTensor::FromFloat32({1, 2, 3}, {1, 3}),
        nn::HostTensor::FromFloat32({4, 5}, {2, 1})};
    return lora;
  }

  testing::TempFolder folder_;
  AdapterStore store_{folder_.path()};
  const adapters::PeftFiles files_ = adapters::SerializePeft(MakeLora());
  const std::string sha256_ = adapters::ContentHash(MakeLora());
};

TEST_F(AdapterStoreTest, WhatWasWrittenIsReadWhereItHasTheHash) {
  const auto folder = store_.Write("run", 3, files_);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(*folder, store_.FolderOf("run", 3));
  const auto read = store_.Read(*folder, sha256_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->safetensors, files_.safetensors);
  EXPECT_TRUE(absl::IsDataLoss(store_.Read(*folder, "another").status()));
  EXPECT_TRUE(absl::IsNotFound(store_.Read(store_.FolderOf("run", 4), sha256_).status()));
}

TEST_F(AdapterStoreTest, AFlippedBitAnywhereInTheTensorsIsDataLossAndNamed) {
  const std::string folder = *store_.Write("run", 3, files_);
  const size_t size = files_.safetensors.size();
  // The header says where the tensors lie; they are the end of the file.
  for (size_t at = size - 5 * sizeof(float); at < size; ++at) {
    std::string flipped = files_.safetensors;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    std::ofstream(folder + "/adapter_model.safetensors", std::ios::binary) << flipped;
    const auto read = store_.Read(folder, sha256_);
    ASSERT_TRUE(absl::IsDataLoss(read.status())) << at << ": " << read.status();
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(folder));
  }
  std::ofstream(folder + "/adapter_model.safetensors", std::ios::binary)
      << files_.safetensors.substr(0, size / 2);
  EXPECT_TRUE(absl::IsDataLoss(store_.Read(folder, sha256_).status())) << "cut off";
}

}  // namespace
}  // namespace mellow::orchestrator
