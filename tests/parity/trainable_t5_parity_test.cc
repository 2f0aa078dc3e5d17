// The trainer's T5 on our own kernels against libtorch's autograd: states, head and all gradients,
// on random models of random shapes and on one of each family; the bits for any thread count; the
// log-probs of the policy.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/nn/load.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/nn/torch/values.h"
#include "common/nn/weights/safetensors.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/test_device.h"

namespace mellow::nn {
namespace trainable_t5_parity_test {

using Json = nlohmann::json;

struct Shape {
  const char* name;
  int vocab, d_model, d_kv, heads, d_ff, layers, decoder_layers;
  const char* feed_forward;
  bool tied;
  std::vector<std::string> targets;
  double model_dropout, lora_dropout;
  int r;
};

void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

// A folder of tests/parity/golden/families in place of a random model.
Shape Family(const char* name) {
  return {.name = name,
          .layers = 0,
          .targets = {"q", "v", "SelfAttention.o", "wo"},
          .model_dropout = 0.1,
          .lora_dropout = 0.1,
          .r = 3};
}

// With weights about as large as T5 makes them: with larger ones attention saturates, and rounding
// is all that there is to compare.
class RandomModel {
 public:
  explicit RandomModel(const Shape& s, uint32_t seed) : random_(seed) {
    const Json config = {{"model_type", "t5"},
                         {"vocab_size", s.vocab},
                         {"d_model", s.d_model},
                         {"d_kv", s.d_kv},
                         {"num_heads", s.heads},
                         {"d_ff", s.d_ff},
                         {"num_layers", s.layers},
                         {"num_decoder_layers", s.decoder_layers},
                         {"feed_forward_proj", s.feed_forward},
                         {"tie_word_embeddings", s.tied},
                         {"relative_attention_num_buckets", 8},
                         {"relative_attention_max_distance", 20}};
    const bool gated = std::string(s.feed_forward).rfind("gated", 0) == 0;
    const int inner = s.d_kv * s.heads;
    Add("shared.weight", {s.vocab, s.d_model}, 1);
    if (!s.tied) Add("lm_head.weight", {s.vocab, s.d_model}, std::sqrt(1.0 / s.d_model));
    for (const std::string stack : {"encoder", "decoder"}) {
      const bool decoder = stack == "decoder";
      for (int i = 0; i < (decoder ? s.decoder_layers : s.layers); ++i) {
        const std::string block = stack + ".block." + std::to_string(i) + ".layer.";
        int layer = 0;
        for (const std::string attention : {"SelfAttention", "EncDecAttention"}) {
          if (attention == "EncDecAttention" && !decoder) continue;
          const std::string prefix = block + std::to_string(layer);
          Add(prefix + ".layer_norm.weight", {s.d_model}, 0);
          for (const std::string part : {"q", "k", "v"})
            Add(prefix + "." + attention + "." + part + ".weight", {inner, s.d_model},
                std::sqrt((part == "q" ? 2.0 / s.d_kv : 1.0) / s.d_model));
          Add(prefix + "." + attention + ".o.weight", {s.d_model, inner}, std::sqrt(1.0 / inner));
          if (layer == 0 && i == 0)
            Add(prefix + "." + attention + ".relative_attention_bias.weight", {8, s.heads}, 1);
          ++layer;
        }
        const std::string ff = block + std::to_string(layer);
        Add(ff + ".layer_norm.weight", {s.d_model}, 0);
        if (gated) {
          Add(ff + ".DenseReluDense.wi_0.weight", {s.d_ff, s.d_model}, std::sqrt(1.0 / s.d_model));
          Add(ff + ".DenseReluDense.wi_1.weight", {s.d_ff, s.d_model}, std::sqrt(1.0 / s.d_model));
        } else {
          Add(ff + ".DenseReluDense.wi.weight", {s.d_ff, s.d_model}, std::sqrt(1.0 / s.d_model));
        }
        Add(ff + ".DenseReluDense.wo.weight", {s.d_model, s.d_ff}, std::sqrt(1.0 / s.d_ff));
      }
      Add(stack + ".final_layer_norm.weight", {s.d_model}, 0);
    }
    EXPECT_TRUE(WriteFileAtomic(folder_ / "config.json", config.dump()).ok());
    EXPECT_TRUE(
        WriteFileAtomic(folder_ / "model.safetensors", SerializeSafetensors(tensors_, {})).ok());
  }
  [[nodiscard]] std::string path() const { return folder_.path(); }

 private:
  // Normal with this deviation; 0: near 1, as norms are.
  void Add(const std::string& name, const std::vector<int64_t>& shape, double deviation) {
    std::normal_distribution<float> normal(deviation == 0 ? 1.0f : 0.0f,
                                           static_cast<float>(deviation == 0 ? 0.2 : deviation));
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = normal(random_);
    tensors_[name] = HostTensor::FromFloat32(values, shape);
  }

  testing::TempFolder folder_;
  std::mt19937 random_;
  TensorMap tensors_;
};

class TrainableT5ParityTest : public ::testing::TestWithParam<Shape> {
 protected:
  struct Ids {
    std::vector<int32_t> source, target;
  };

  void SetUp() override {
    const Shape& s = GetParam();
    if (s.layers > 0) {
      model_ = std::make_unique<RandomModel>(s, 7);
      path_ = model_->path();
    } else {
      path_ = mellow::SourceTree(absl::StrCat("/tests/parity/golden/families/", s.name));
    }
    auto weights = LoadT5Weights(path_, TorchDevice(TestDevice()), at::kFloat);
    ASSERT_TRUE(weights.ok()) << weights.status();
    torch_ = TrainableT5::OnTorch(std::make_shared<const T5Weights>(*std::move(weights)));
    ours_ = Kernels(2);
    const auto vocabulary = static_cast<uint32_t>(ours_->config().vocab_size);
    std::mt19937 random(3);
    for (const auto& [source, target] : {std::pair{3, 1}, {40, 12}, {1, 130}, {210, 33}, {17, 5}}) {
      Ids& ids = ids_.emplace_back();
      for (int i = 0; i < source; ++i)
        ids.source.push_back(static_cast<int32_t>(random() % vocabulary));
      for (int i = 0; i < target; ++i)
        ids.target.push_back(static_cast<int32_t>(random() % vocabulary));
    }
    std::vector<PairView> views;
    for (const Ids& ids : ids_) views.push_back({ids.source, ids.target});
    pairs_ = PackPairs(views, 0, at::kCPU);
    torch_pairs_ = PackPairs(views, 0, torch_->device());
    LoraConfig config{.r = s.r, .lora_alpha = 2.0 * s.r, .target_modules = s.targets};
    lora_ = *FreshLora(ours_->modules(), config, 5);
    // B too, or half of the gradients would be zero.
    std::normal_distribution<float> normal(0, 0.1f);
    for (auto& [name, pair] : lora_.modules) {
      std::vector<float> b = pair.b.ToFloat32();
      for (float& x : b) x = normal(random);
      pair.b = HostTensor::FromFloat32(b, pair.b.shape);
    }
    at::manual_seed(1);
    d_hidden_ = at::randn({pairs_.labels.size(0), ours_->config().d_model});
    dropout_ = {.model_rate = s.model_dropout, .lora_rate = s.lora_dropout, .seed = 3, .step = 2};
  }

  std::unique_ptr<TrainableT5> Kernels(int threads, WeightType precision = WeightType::kFloat32) {
    auto model = TrainableT5::Load(path_, {}, threads, precision);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  TorchLora Adapter(const TrainableT5& model) { return *model.Adapt(lora_, /*trainable=*/true); }

  struct Results {
    at::Tensor hidden, logprobs, entropies, jacobian;
    std::vector<at::Tensor> gradients;  // in name order
  };
  Results Run(TrainableT5* model) {
    const TorchLora lora = Adapter(*model);
    const TeacherForced& pairs = model == torch_.get() ? torch_pairs_ : pairs_;
    const at::Tensor d_hidden = d_hidden_.to(model->device());
    const auto pass = model->Forward(pairs, lora, &dropout_);
    Results out;
    out.hidden = pass->hidden().clone();
    HeadOutput head =
        model->ScoreTargets(out.hidden, pairs.labels, {.entropies = true, .jacobian = true});
    out.hidden = out.hidden.cpu();
    out.logprobs = head.logprobs.cpu();
    out.entropies = head.entropies.cpu();
    out.jacobian = head.jacobian.cpu();
    for (int i = 0; i < 2; ++i) {  // gradients add up
      const auto again = i == 0 ? nullptr : model->Forward(pairs, lora, &dropout_);
      (i == 0 ? pass : again)->Backward(d_hidden);
    }
    for (const TorchLora::Named& p : lora.parameters()) {
      out.gradients.push_back(p.a.grad().cpu());
      out.gradients.push_back(p.b.grad().cpu());
    }
    return out;
  }

  void ExpectLogProbsOfThePolicy(WeightType precision) {
    auto policy = LoadSeq2SeqModel(path_, {.threads = 2, .weights = precision});
    ASSERT_TRUE(policy.ok()) << policy.status();
    const auto adapter = (*policy)->Prepare(lora_);
    ASSERT_TRUE(adapter.ok()) << adapter.status();
    std::vector<ScoreRequest> requests;
    for (const Ids& ids : ids_) requests.push_back({ids.source, ids.target, adapter->get()});
    const auto scores = (*policy)->ScoreTokens(requests);
    ASSERT_TRUE(scores.ok()) << scores.status();
    std::vector<float> want;
    for (const std::vector<float>& row : *scores) want.insert(want.end(), row.begin(), row.end());
    const auto ours = Kernels(2, precision);
    const at::Tensor hidden = ours->Hidden(pairs_, Adapter(*ours));
    EXPECT_EQ(ToVector(ours->ScoreTargets(hidden, pairs_.labels, {}).logprobs), want);
  }

  // All numbers together: |got - want| / |want|.
  static double Error(const at::Tensor& got, const at::Tensor& want) {
    return ((got - want).norm() / want.norm().clamp_min(1e-12)).item<double>();
  }

  std::unique_ptr<RandomModel> model_;
  std::string path_;
  std::unique_ptr<TrainableT5> torch_, ours_;
  std::vector<Ids> ids_;
  TeacherForced pairs_, torch_pairs_;  // the same, on the CPU and on torch_'s device
  LoraWeights lora_;
  at::Tensor d_hidden_;
  DropoutOptions dropout_;
};

TEST_P(TrainableT5ParityTest, ValuesAndGradientsAreThoseOfLibtorch) {
  const Results want = Run(torch_.get());
  const Results got = Run(ours_.get());
  double worst = 0;
  const auto check = [&](const at::Tensor& a, const at::Tensor& b, const std::string& what) {
    const double error = Error(a, b);
    EXPECT_LT(error, OnTestDevice(1e-5)) << what;
    worst = std::max(worst, error);
  };
  check(got.hidden, want.hidden, "hidden");
  check(got.logprobs, want.logprobs, "logprobs");
  check(got.entropies, want.entropies, "entropies");
  check(got.jacobian, want.jacobian, "jacobian");
  ASSERT_EQ(got.gradients.size(), want.gradients.size());
  const TorchLora names = Adapter(*ours_);
  for (size_t i = 0; i < want.gradients.size(); ++i)
    check(got.gradients[i], want.gradients[i], names.parameters()[i / 2].module);
  RecordProperty("worst_relative_error", std::to_string(worst));
  std::printf("worst relative error %.2g\n", worst);
}

TEST_P(TrainableT5ParityTest, TheSameBitsForAnyThreadCountAndWithoutGradients) {
  const Results want = Run(ours_.get());
  for (const int threads : {1, 3}) {
    const auto model = Kernels(threads);
    const Results got = Run(model.get());
    EXPECT_TRUE(got.hidden.equal(want.hidden)) << threads;
    EXPECT_TRUE(got.logprobs.equal(want.logprobs)) << threads;
    EXPECT_TRUE(got.entropies.equal(want.entropies)) << threads;
    EXPECT_TRUE(got.jacobian.equal(want.jacobian)) << threads;
    for (size_t i = 0; i < want.gradients.size(); ++i)
      EXPECT_TRUE(got.gradients[i].equal(want.gradients[i])) << threads << " threads, " << i;
  }
  const TorchLora lora = Adapter(*ours_);
  EXPECT_TRUE(ours_->Forward(pairs_, lora, nullptr)->hidden().equal(ours_->Hidden(pairs_, lora)));
}

// bfloat16 has 8 bits: an input or a weight is off by at most 2^-9 of itself, a sum of many by
// less, and layers add up.
TEST_P(TrainableT5ParityTest, BFloat16IsNearLibtorchsFp32AndTheSameBitsForAnyThreadCount) {
  const Results want = Run(torch_.get());
  const Results got = Run(Kernels(1, WeightType::kBFloat16).get());
  const Results again = Run(Kernels(3, WeightType::kBFloat16).get());
  const auto check = [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
    EXPECT_GT(Error(a, b), 1e-5);  // it is not fp32
    EXPECT_LT(Error(a, b), 0.2);
    EXPECT_TRUE(a.equal(c));
  };
  check(got.hidden, want.hidden, again.hidden);
  check(got.logprobs, want.logprobs, again.logprobs);
  check(got.jacobian, want.jacobian, again.jacobian);
  ASSERT_EQ(got.gradients.size(), want.gradients.size());
  for (size_t i = 0; i < want.gradients.size(); ++i)
    check(got.gradients[i], want.gradients[i], again.gradients[i]);
}

TEST_P(TrainableT5ParityTest, LogProbsAreThePolicysBitForBit) {
  for (const WeightType precision : {WeightType::kFloat32, WeightType::kBFloat16})
    ExpectLogProbsOfThePolicy(precision);
}

TEST_P(TrainableT5ParityTest, ValuesOfTheSamplingPolicyAreOursBitForBit) {
  LoadOptions options;
  options.threads = 2;
  auto policy = LoadSeq2SeqModel(path_, options);
  ASSERT_TRUE(policy.ok()) << policy.status();
  const auto adapter = (*policy)->Prepare(lora_);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  const at::Tensor weight = at::randn({ours_->config().d_model});
  const at::Tensor bias = at::randn({1});
  const ValueHead head{ToVector(weight), bias.item<float>()};
  std::vector<EncodeRequest> requests;
  for (const Ids& ids : ids_) {
    requests.push_back({.source_ids = ids.source,
                        .adapter = adapter->get(),
                        .max_target_tokens = static_cast<int>(ids.target.size()),
                        .value_head = &head});
  }
  const auto rows = (*policy)->Encode(requests);
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::vector<std::vector<float>> values(ids_.size());
  std::vector<float> logits;
  for (size_t t = 0;; ++t) {
    std::vector<DecodeRow*> active;
    std::vector<int32_t> tokens;
    std::vector<size_t> index;
    for (size_t i = 0; i < ids_.size(); ++i) {
      if (t >= ids_[i].target.size()) continue;
      active.push_back((*rows)[i].get());
      tokens.push_back(t == 0 ? (*policy)->config().decoder_start_token_id : ids_[i].target[t - 1]);
      index.push_back(i);
    }
    if (active.empty()) break;
    ASSERT_TRUE((*policy)->Step(active, tokens, &logits).ok());
    for (size_t j = 0; j < index.size(); ++j) values[index[j]].push_back(*active[j]->value());
  }
  std::vector<float> got;
  for (const std::vector<float>& row : values) got.insert(got.end(), row.begin(), row.end());
  std::vector<PairView> views;
  for (const Ids& ids : ids_) views.push_back({ids.source, ids.target});
  const TeacherForced pairs = PackPairs(views, ours_->config().decoder_start_token_id, at::kCPU);
  EXPECT_EQ(got, ToVector(Values(ours_->Hidden(pairs, Adapter(*ours_)), weight, bias)));
}

TEST_P(TrainableT5ParityTest, SmoothedLabelsAndTheVocabularysKl) {
  const at::Tensor hidden = at::randn({40, ours_->config().d_model});
  const at::Tensor other = hidden + 0.2 * at::randn_like(hidden);
  const at::Tensor labels = pairs_.labels.narrow(0, 0, 40);
  const HeadOptions options = {.jacobian = true, .label_smoothing = 0.2};
  const at::Device device = torch_->device();
  const HeadOutput want = torch_->ScoreTargets(hidden.to(device), labels.to(device), options);
  const HeadOutput got = ours_->ScoreTargets(hidden, labels, options);
  EXPECT_LT(Error(got.logprobs, want.logprobs.cpu()), OnTestDevice(1e-5));
  EXPECT_LT(Error(got.jacobian, want.jacobian.cpu()), OnTestDevice(1e-5));
  const at::Tensor kl = torch_->VocabularyKl(hidden.to(device), other.to(device)).cpu();
  EXPECT_LT(Error(ours_->VocabularyKl(hidden, other), kl), OnTestDevice(1e-4));
  EXPECT_EQ(ours_->VocabularyKl(hidden, hidden).abs().max().item<float>(), 0);
}

const Shape kShapes[] = {
    {"gated_qv", 300, 48, 12, 3, 70, 2, 3, "gated-gelu", false, {"q", "v"}, 0, 0, 4},
    {"relu_tied_all",
     97,
     33,
     5,
     4,
     41,
     2,
     2,
     "relu",
     true,
     {"q", "k", "v", "o", "wi", "wo"},
     0,
     0,
     3},
    {"everything_drops",
     120,
     40,
     8,
     5,
     64,
     2,
     2,
     "gated-gelu",
     false,
     {"q", "k", "v", "o", "wi_0", "wi_1", "wo"},
     0.1,
     0.2,
     5},
    {"decoder_only", 80, 24, 16, 2, 300, 3, 2, "gated-silu", true, {"EncDecAttention.q"}, 0, 0, 2},
    {"encoder_only_wide",
     64,
     260,
     32,
     8,
     520,
     2,
     1,
     "gelu",
     false,
     {"encoder.block.1.layer.0.SelfAttention.v"},
     0,
     0,
     20},
    {"cross_keys_drop",
     50,
     16,
     4,
     4,
     32,
     1,
     1,
     "relu",
     false,
     {"EncDecAttention.k", "wo"},
     0.3,
     0,
     1},
};
// Sources in which pad tokens stand because the text spells them out (make_pad_golden.py).
TEST(TrainableT5PadTest, PadsOfATextAreAttendedToAsInTrl) {
  const std::string golden = mellow::SourceTree("/tests/parity/golden/");
  auto model = TrainableT5::Load(golden + "ppo/gated", {}, 1);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto lora = adapters::ReadPeftFolder(golden + "ppo/gated-qv");
  ASSERT_TRUE(lora.ok()) << lora.status();
  const auto adapter = (*model)->Adapt(*lora, /*trainable=*/true);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  std::ifstream file(golden + "pads.jsonl");
  int rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const Json row = Json::parse(line);
    const auto source = row["source_ids"].get<std::vector<int32_t>>();
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    const PairView view{source, ids};
    const TeacherForced pairs = PackPairs({&view, 1}, 0, at::kCPU);
    const at::Tensor logprobs =
        (*model)
            ->ScoreTargets((*model)->Forward(pairs, *adapter, nullptr)->hidden(), pairs.labels, {})
            .logprobs;
    for (size_t t = 0; t < ids.size(); ++t)
      EXPECT_NEAR(logprobs[static_cast<int64_t>(t)].item<float>(), row["logprobs"][t].get<float>(),
                  2e-5)
          << line << " token " << t;
  }
  EXPECT_EQ(rows, 8);
}

INSTANTIATE_TEST_SUITE_P(Random, TrainableT5ParityTest, ::testing::ValuesIn(kShapes),
                         [](const auto& info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(OfEachFamily, TrainableT5ParityTest,
                         ::testing::Values(Family("mt5"), Family("mt5-5"), Family("t5-5-fresh"),
                                           Family("t5-5-head"), Family("t5-5-tied"), Family("umt5"),
                                           Family("umt5-5"), Family("umt5-tied")),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param.name, {{"-", "_"}});
                         });

}  // namespace trainable_t5_parity_test
}  // namespace mellow::nn
