// What the CPU models promise besides their numbers (which tests/parity checks): errors, state,
// independence of rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/nn/load.h"
#include "common/nn/lora.h"
#include "common/nn/weights/model_folder.h"
#include "common/nn/weights/safetensors.h"
#include "tests/testing/source_tree.h"

namespace mellow::nn {
namespace {

using testing::HasSubstr;

const std::string kGolden = mellow::SourceTree("/tests/parity/golden/");

// A copy of a golden model whose tensors a test may change.
class ModelCopy {
 public:
  explicit ModelCopy(const std::string& name) {
    folder_ = testing::TempDir() + "/model_copy_" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::filesystem::copy(kGolden + name + "/config.json", folder_ + "/config.json");
    tensors = *LoadModelTensors(kGolden + name);
  }
  ~ModelCopy() { std::filesystem::remove_all(folder_); }
  const std::string& Save() {
    EXPECT_TRUE(WriteSafetensors(folder_ + "/model.safetensors", tensors).ok());
    return folder_;
  }
  TensorMap tensors;

 private:
  std::string folder_;
};

std::unique_ptr<Seq2SeqModel> Gated() {
  return std::move(*LoadSeq2SeqModel(kGolden + "t5-gated", {.threads = 2}));
}

std::unique_ptr<DecodeRow> EncodeOne(Seq2SeqModel& model, const std::vector<int32_t>& source,
                                     int steps) {
  auto rows = model.Encode({{source, nullptr, steps}});
  EXPECT_TRUE(rows.ok()) << rows.status();
  return std::move((*rows)[0]);
}

std::vector<float> StepOne(Seq2SeqModel& model, DecodeRow* row, int32_t token) {
  std::vector<float> logits;
  EXPECT_TRUE(model.Step({row}, {token}, &logits).ok());
  return logits;
}

// Longer than two pieces, and no two ids alike for long.
std::vector<int32_t> LongIds(int count, int step) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(2 + (i * step + i / 7) % 90);
  return ids;
}

// What is computed in between must not show, so it uses every buffer, with more rows and fewer.
TEST(CpuT5Test, PiecesGiveTheBitsOfTheWholeWhateverIsComputedInBetween) {
  auto model = Gated();
  const std::vector<int32_t> source = LongIds(600, 13);
  const std::vector<int32_t> another = LongIds(700, 29);
  const std::vector<int32_t> target = LongIds(530, 5);
  std::vector<int32_t> positions(source.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i + i / 100);
  const std::vector<int32_t> brief = {5, 6, 1};
  const std::vector<EncodeRequest> encode = {
      {brief, nullptr, 4}, {source, nullptr, 4}, {source, nullptr, 4, positions}};
  const std::vector<ScoreRequest> score = {{brief, brief}, {source, target}};
  int between = 0;
  const auto others = [&]() -> absl::Status {
    if (++between % 5 != 0) return absl::OkStatus();
    const auto row = EncodeOne(*model, between % 2 == 0 ? another : brief, 1);
    StepOne(*model, row.get(), 0);
    return model->ScoreTokens({{brief, between % 2 == 0 ? brief : another}}).status();
  };

  auto whole = model->Encode(encode);
  auto pieces = model->EncodeInPieces(encode, others);
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  EXPECT_GT(between, 10);
  for (size_t i = 0; i < encode.size(); ++i) {
    SCOPED_TRACE(i);
    for (const int32_t token : {0, 7, 9})
      EXPECT_EQ(StepOne(*model, (*whole)[i].get(), token),
                StepOne(*model, (*pieces)[i].get(), token));
  }

  between = 0;
  const auto scores = model->ScoreTokens(score);
  const auto in_pieces = model->ScoreTokensInPieces(score, others);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_TRUE(in_pieces.ok()) << in_pieces.status();
  EXPECT_GT(between, 20);
  EXPECT_EQ(*scores, *in_pieces);
}

TEST(CpuT5Test, AnErrorInBetweenEndsTheWork) {
  auto model = Gated();
  const std::vector<int32_t> source = LongIds(600, 13);
  int between = 0;
  const auto stop = [&]() -> absl::Status {
    return ++between < 3 ? absl::OkStatus() : absl::CancelledError("enough");
  };
  EXPECT_TRUE(absl::IsCancelled(model->EncodeInPieces({{source, nullptr, 4}}, stop).status()));
  EXPECT_EQ(between, 3);
  between = 0;
  EXPECT_TRUE(absl::IsCancelled(model->ScoreTokensInPieces({{source, source}}, stop).status()));
  EXPECT_EQ(between, 3);
}

TEST(CpuT5Test, NamesEveryMissingMisshapenAndUnexpectedTensor) {
  ModelCopy copy("t5-gated");
  copy.tensors.erase("encoder.block.1.layer.1.DenseReluDense.wi_1.weight");
  copy.tensors["decoder.final_layer_norm.weight"] = HostTensor::FromFloat32({1, 2, 3}, {3});
  copy.tensors["surplus"] = HostTensor::FromFloat32({1}, {1});
  const auto model = LoadSeq2SeqModel(copy.Save(), {});
  EXPECT_EQ(model.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(model.status().message(),
              HasSubstr("encoder.block.1.layer.1.DenseReluDense.wi_1.weight"));
  EXPECT_THAT(model.status().message(), HasSubstr("decoder.final_layer_norm.weight"));
  EXPECT_THAT(model.status().message(), HasSubstr("surplus"));
}

TEST(CpuT5Test, AcceptsTheDuplicatesThatExportersWrite) {
  ModelCopy copy("t5-tied");
  const HostTensor shared = copy.tensors.at("shared.weight");
  auto before = std::move(*LoadSeq2SeqModel(copy.Save(), {}));
  for (const char* name :
       {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"})
    copy.tensors[name] = shared;
  copy.tensors.erase("shared.weight");
  auto after = LoadSeq2SeqModel(copy.Save(), {});
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*after)->parameter_count(), before->parameter_count());
  const auto row_a = EncodeOne(*before, {5, 6, 1}, 1);
  const auto row_b = EncodeOne(**after, {5, 6, 1}, 1);
  EXPECT_EQ(StepOne(*before, row_a.get(), 0), StepOne(**after, row_b.get(), 0));
}

TEST(CpuT5Test, CountsEveryParameterOnce) {
  for (const char* name : {"t5-gated", "t5-tied"}) {
    int64_t elements = 0;
    const TensorMap tensors = *LoadModelTensors(kGolden + name);
    for (const auto& [tensor_name, tensor] : tensors) elements += tensor.elements();
    EXPECT_EQ((*LoadSeq2SeqModel(kGolden + name, {}))->parameter_count(), elements) << name;
  }
}

TEST(CpuT5Test, RefusesBadRequestsByName) {
  auto model = Gated();
  const std::vector<int32_t> good = {5, 1};
  const std::vector<int32_t> bad = {5, 120, 1};
  const std::vector<int32_t> negative = {-1};
  const auto encoded = model->Encode({{good, nullptr, 4}, {bad, nullptr, 4}});
  EXPECT_EQ(encoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(encoded.status().message(), HasSubstr("request 1: source_ids[1] is 120"));
  EXPECT_THAT(model->Encode({{{}, nullptr, 4}}).status().message(),
              HasSubstr("source_ids is empty"));
  EXPECT_THAT(model->ScoreTokens({{good, negative, nullptr}}).status().message(),
              HasSubstr("target_ids[0] is -1"));
}

TEST(CpuT5Test, ScoresAnEmptyTargetAsNothing) {
  auto model = Gated();
  const std::vector<int32_t> source = {5, 1};
  const std::vector<int32_t> target = {7, 1};
  const auto scores =
      model->ScoreTokens({{source, {}, nullptr}, {source, target, nullptr}, {source, {}, nullptr}});
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_EQ((*scores)[0].size(), 0u);
  EXPECT_EQ((*scores)[1].size(), 2u);
  EXPECT_EQ((*scores)[2].size(), 0u);
}

TEST(CpuT5Test, StepChecksItsRowsBeforeItComputes) {
  auto model = Gated();
  auto other = Gated();
  const auto row = EncodeOne(*model, {5, 6, 7, 1}, 1);
  const auto foreign = EncodeOne(*other, {5, 1}, 1);
  std::vector<float> logits;
  EXPECT_EQ(model->Step({row.get()}, {0, 0}, &logits).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model->Step({row.get(), foreign.get()}, {0, 0}, &logits).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model->Step({row.get()}, {120}, &logits).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(row->position(), 0);
  EXPECT_TRUE(model->Step({row.get()}, {0}, &logits).ok());
  EXPECT_EQ(row->position(), 1);
  EXPECT_THAT(model->Step({row.get()}, {0}, &logits).message(), HasSubstr("max_target_tokens = 1"));
  EXPECT_TRUE(model->Step({}, {}, &logits).ok());
}

TEST(CpuT5Test, AForkGoesItsOwnWayAndLeavesTheOriginalAlone) {
  auto model = Gated();
  const std::vector<int32_t> source = {9, 8, 7, 1};
  const auto row = EncodeOne(*model, source, 100);
  const auto reference = EncodeOne(*model, source, 100);
  int32_t token = 0;
  for (int t = 0; t < 70; ++t, token = 2 + t) {
    StepOne(*model, row.get(), token);
    StepOne(*model, reference.get(), token);
  }
  auto fork = model->Fork(*row);
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ((*fork)->position(), 70);
  for (int t = 0; t < 5; ++t) {
    const std::vector<float> forked = StepOne(*model, fork->get(), 100);
    const std::vector<float> original = StepOne(*model, row.get(), 50);
    EXPECT_EQ(original, StepOne(*model, reference.get(), 50)) << t;
    EXPECT_NE(original, forked) << t;
  }
}

TEST(CpuT5Test, NamesAdapterModulesThatDoNotFit) {
  auto model = Gated();
  LoraWeights lora;
  lora.config.r = 2;
  const std::string q = "encoder.block.0.layer.0.SelfAttention.q";
  lora.modules[q] = {HostTensor::FromFloat32(std::vector<float>(48), {2, 24}),
                     HostTensor::FromFloat32(std::vector<float>(60), {30, 2})};
  EXPECT_TRUE(model->Prepare(lora).ok());
  lora.modules["encoder.block.7.layer.0.SelfAttention.q"] = lora.modules[q];
  lora.modules["decoder.block.0.layer.1.EncDecAttention.v"] = {
      HostTensor::FromFloat32(std::vector<float>(48), {2, 24}),
      HostTensor::FromFloat32(std::vector<float>(62), {31, 2})};
  const auto prepared = model->Prepare(lora);
  EXPECT_EQ(prepared.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(prepared.status().message(), HasSubstr("encoder.block.7.layer.0.SelfAttention.q"));
  EXPECT_THAT(prepared.status().message(), HasSubstr("decoder.block.0.layer.1.EncDecAttention.v"));
  EXPECT_THAT(prepared.status().message(), HasSubstr("[31, 2]"));
}

TEST(CpuT5Test, RefusesAnAdapterOfAnotherModel) {
  auto model = Gated();
  auto other = Gated();
  const auto adapter = *other->Prepare(LoraWeights{});
  const std::vector<int32_t> source = {5, 1};
  EXPECT_EQ(model->Encode({{source, adapter.get(), 1}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(CpuRobertaTest, RefusesBadSequencesByName) {
  auto model = std::move(*LoadSequenceClassifier(kGolden + "roberta-2", {}));
  EXPECT_THAT(model->Classify({{0, 2}, {}}).status().message(), HasSubstr("sequence 1 is empty"));
  EXPECT_THAT(model->Classify({{0, 4711, 2}}).status().message(), HasSubstr("4711"));
  const std::vector<int32_t> longest(model->config().max_tokens(), 5);
  EXPECT_TRUE(model->Classify({longest}).ok());
  EXPECT_THAT(model->Classify({std::vector<int32_t>(longest.size() + 1, 5)}).status().message(),
              HasSubstr("69 tokens"));
  EXPECT_EQ(model->Classify({})->size(), 0u);
}

// Sequences go to the threads whole or are shared out within, as their number and lengths have it;
// heads go by whole panels where they can: those of roberta-2 can on no x86.
TEST(CpuRobertaTest, ASequenceHasTheBitsThatItHasAloneInAnyBatchAndWithAnyThreads) {
  for (const std::string& folder :
       {kGolden + "roberta-2", SourceTree("/deploy/models/mini-toxicity")}) {
    for (const WeightType weights :
         {WeightType::kFloat32, WeightType::kBFloat16, WeightType::kInt8}) {
      auto alone = std::move(*LoadSequenceClassifier(folder, {.weights = weights}));
      std::map<int, std::unique_ptr<SequenceClassifier>> by_threads;
      for (const int threads : {1, 2, 3, 64}) {
        by_threads[threads] =
            std::move(*LoadSequenceClassifier(folder, {.threads = threads, .weights = weights}));
      }
      const int most = static_cast<int>(alone->config().max_tokens());
      for (const std::vector<int>& lengths : {std::vector<int>{most},
                                              {1, 2},
                                              {most, 1, 1},
                                              {3, 17, 33, most, 5, most, 40, 64, 1},
                                              std::vector<int>(40, most)}) {
        std::vector<std::vector<int32_t>> sequences;
        for (const int length : lengths) {
          sequences.emplace_back(length);
          for (int i = 0; i < length; ++i)
            sequences.back()[i] = (7 * i + 3 * length) % alone->config().vocab_size;
        }
        std::vector<std::vector<float>> expected;
        for (const std::vector<int32_t>& sequence : sequences)
          expected.push_back(alone->Classify({sequence})->front());
        for (const auto& [threads, model] : by_threads) {
          EXPECT_EQ(*model->Classify(sequences), expected)
              << folder << ", " << lengths.size() << " sequences, " << threads << " threads";
          EXPECT_TRUE(model->Classify({})->empty());
        }
      }
    }
  }
}

TEST(CpuRobertaTest, IgnoresThePoolerAndCountsParameters) {
  ModelCopy copy("roberta-2");
  int64_t elements = 0;
  for (const auto& [name, tensor] : copy.tensors) elements += tensor.elements();
  copy.tensors["roberta.pooler.dense.weight"] = HostTensor::FromFloat32({1}, {1});
  copy.tensors["roberta.embeddings.position_ids"] = HostTensor::FromFloat32({1}, {1, 1});
  const auto model = LoadSequenceClassifier(copy.Save(), {});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->parameter_count(), elements);
}

TEST(LoadTest, SaysWhichKindOfModelTheFolderHolds) {
  EXPECT_THAT(LoadSeq2SeqModel(kGolden + "roberta-2", {}).status().message(),
              HasSubstr("\"roberta\", expected \"t5\""));
  EXPECT_THAT(LoadSequenceClassifier(kGolden + "t5-tied", {}).status().message(),
              HasSubstr("\"t5\", expected \"roberta\""));
  EXPECT_EQ(LoadSeq2SeqModel("/nowhere", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(LoadSeq2SeqModel(kGolden + "t5-tied", {.threads = 0}).status().message(),
              HasSubstr("threads is 0"));
}

TEST(LoadTest, ParsesWeightTypesAndDevices) {
  EXPECT_EQ(*ParseWeightType("bfloat16"), WeightType::kBFloat16);
  EXPECT_EQ(*ParseWeightType("int8"), WeightType::kInt8);
  for (const char* name : {"float32", "bfloat16", "float16", "int8"})
    EXPECT_EQ(WeightTypeName(*ParseWeightType(name)), name);
  EXPECT_EQ(*ParseWeightType("fp32"), WeightType::kFloat32);
  EXPECT_EQ(*ParseWeightType("bf16"), WeightType::kBFloat16);
  EXPECT_EQ(*ParseWeightType("fp16"), WeightType::kFloat16);
  EXPECT_THAT(ParseWeightType("int4").status().message(), HasSubstr("int4"));
  EXPECT_FALSE(ResolveDevice("cpu")->cuda);
  EXPECT_TRUE(ResolveDevice("auto").ok());
  for (const char* word : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda0", ""}) {
    EXPECT_EQ(ResolveDevice(word).status().code(), absl::StatusCode::kInvalidArgument) << word;
  }
  EXPECT_EQ(ResolveDevice("cuda:4711").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ((Device{.cuda = true, .index = 2}.ToString()), "cuda:2");
}

}  // namespace
}  // namespace mellow::nn
