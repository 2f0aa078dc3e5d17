#include "common/nn/weights/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "common/nn/weights/safetensors.h"
#include "tests/common/nn/weights/torch_zip_builder.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace model_folder_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& data) {
    ASSERT_TRUE(WriteFileAtomic(folder_ / name, data).ok());
  }
  void WriteTensor(const std::string& file, const std::string& name, float value) {
    Write(file, SerializeSafetensors({{name, HostTensor::FromFloat32({value}, {1})}}, {}));
  }
  static std::string Bin(const std::string& name) {
    using namespace testing;  // NOLINT: the builder's pieces
    return Checkpoint(Pickle(Dict({{name, Tensor(Storage("FloatStorage", "0", 6), 0, {6}, {1})}})));
  }

  mellow::testing::TempFolder folder_;
};

TEST_F(ModelFolderTest, PrefersSafetensors) {
  WriteTensor("model.safetensors", "a", 1);
  Write("pytorch_model.bin", "not even a zip");
  const auto tensors = LoadModelTensors(folder_.path());
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_THAT(tensors->at("a").ToFloat32(), ElementsAre(1));
}

TEST_F(ModelFolderTest, ReadsABinFile) {
  Write("pytorch_model.bin", Bin("b"));
  const auto tensors = LoadModelTensors(folder_.path());
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_THAT(tensors->at("b").ToFloat32(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(ModelFolderTest, JoinsShardsOfBothKinds) {
  WriteTensor("x-1.safetensors", "a", 1);
  WriteTensor("x-2.safetensors", "b", 2);
  Write("model.safetensors.index.json",
        R"({"metadata": {}, "weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}})");
  const auto tensors = LoadModelTensors(folder_.path());
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->size(), 2u);
  EXPECT_THAT(tensors->at("b").ToFloat32(), ElementsAre(2));
}

TEST_F(ModelFolderTest, JoinsShardedBinFiles) {
  Write("p-1.bin", Bin("a"));
  Write("p-2.bin", Bin("b"));
  Write("pytorch_model.bin.index.json", R"({"weight_map": {"a": "p-1.bin", "b": "p-2.bin"}})");
  const auto tensors = LoadModelTensors(folder_.path());
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->size(), 2u);
}

TEST_F(ModelFolderTest, ATensorThatItsShardLacksIsAFailedPrecondition) {
  WriteTensor("x-1.safetensors", "a", 1);
  Write("model.safetensors.index.json",
        R"({"weight_map": {"a": "x-1.safetensors", "lost": "x-1.safetensors"}})");
  const absl::Status status = LoadModelTensors(folder_.path()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("lost is not in x-1.safetensors"));
}

TEST_F(ModelFolderTest, AMissingShardIsNamedAndNotReplacedByAnotherLayout) {
  Write("model.safetensors.index.json", R"({"weight_map": {"a": "x-1.safetensors"}})");
  Write("pytorch_model.bin", Bin("b"));
  const absl::Status status = LoadModelTensors(folder_.path()).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("x-1.safetensors"));
}

TEST_F(ModelFolderTest, ShardsMustLieInTheFolder) {
  for (const char* index :
       {R"({"weight_map": {"a": "../secret.safetensors"}})",
        R"({"weight_map": {"a": "/etc/passwd"}})", R"({"weight_map": {"a": ".."}})",
        R"({"weight_map": {"a": ""}})", R"({"weight_map": {"a": 3}})", R"({"weight_map": []})",
        R"({})", "nonsense"}) {
    Write("model.safetensors.index.json", index);
    const absl::Status status = LoadModelTensors(folder_.path()).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << index << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("model.safetensors.index.json"));
  }
}

TEST_F(ModelFolderTest, WithoutWeightsTheMessageListsWhatWasLookedFor) {
  const absl::Status status = LoadModelTensors(folder_.path()).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  for (const char* words : {"model.safetensors", "pytorch_model.bin.index.json"})
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  EXPECT_TRUE(absl::IsNotFound(LoadModelTensors(folder_ / "absent").status()));
}

TEST_F(ModelFolderTest, ADamagedFileIsNotSkipped) {
  Write("model.safetensors", "damaged");
  Write("pytorch_model.bin", Bin("b"));
  EXPECT_TRUE(absl::IsDataLoss(LoadModelTensors(folder_.path()).status()));
}

TEST_F(ModelFolderTest, ModelTypeTellsTheArchitecture) {
  EXPECT_TRUE(absl::IsNotFound(ModelType(folder_.path()).status()));
  Write("config.json", R"({"model_type": "roberta"})");
  EXPECT_EQ(*ModelType(folder_.path()), "roberta");
  for (const char* bad :
       {"{}", R"({"model_type": null})", R"({"model_type": 3})", R"({"model_type": ""})", "x"}) {
    Write("config.json", bad);
    EXPECT_TRUE(absl::IsInvalidArgument(ModelType(folder_.path()).status())) << bad;
  }
}

}  // namespace model_folder_test
}  // namespace mellow::nn
