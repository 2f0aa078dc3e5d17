#include "common/nn/cpu/t5_weights.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"

namespace mellow::nn::cpu {
namespace {

class T5Loader {
 public:
  T5Loader(CpuBackend* backend, const T5Config& config, const TensorMap& tensors)
      : backend_(backend), config_(config), reader_(tensors) {}

  std::unique_ptr<T5Weights> Load();
  absl::Status Finish() const { return reader_.Finish(); }

 private:
  std::vector<float> Norm(const std::string& module) {
    parameters_ += config_.d_model;
    return reader_.Float32(absl::StrCat(module, ".weight"), {config_.d_model});
  }
  CpuLinear Linear(const std::vector<std::string>& modules, int out, int in) {
    CpuLinear linear(backend_, &reader_, modules, std::vector<int>(modules.size(), out), in,
                     /*bias=*/false);
    parameters_ += linear.parameters();
    return linear;
  }
  StackBias Bias(const std::string& stack, int layers, bool bidirectional) {
    const int buckets = config_.relative_attention_num_buckets;
    std::vector<PositionBias> biases;
    for (int i = 0; i < (config_.bias_in_every_layer ? layers : 1); ++i) {
      parameters_ += int64_t{buckets} * config_.num_heads;
      biases.emplace_back(
          reader_.Float32(absl::StrCat(stack, ".block.", i,
                                       ".layer.0.SelfAttention.relative_attention_bias.weight"),
                          {buckets, config_.num_heads}),
          buckets, config_.num_heads, bidirectional, config_.relative_attention_max_distance);
    }
    return StackBias(std::move(biases));
  }
  void Block(const std::string& stack, int index, bool cross, T5Block* block);

  CpuBackend* backend_;
  const T5Config& config_;
  TensorReader reader_;
  int64_t parameters_ = 0;
};

void T5Loader::Block(const std::string& stack, int index, bool cross, T5Block* block) {
  const int d = config_.d_model;
  const int inner = config_.inner_dim();
  const std::string prefix = absl::StrCat(stack, ".block.", index, ".layer.");
  const std::string self = absl::StrCat(prefix, "0.SelfAttention.");
  block->self_norm = Norm(absl::StrCat(prefix, "0.layer_norm"));
  block->self_qkv =
      Linear({absl::StrCat(self, "q"), absl::StrCat(self, "k"), absl::StrCat(self, "v")}, inner, d);
  block->self_o = Linear({absl::StrCat(self, "o")}, d, inner);
  if (cross) {
    const std::string other = absl::StrCat(prefix, "1.EncDecAttention.");
    block->cross_norm = Norm(absl::StrCat(prefix, "1.layer_norm"));
    block->cross_q = Linear({absl::StrCat(other, "q")}, inner, d);
    block->cross_kv = Linear({absl::StrCat(other, "k"), absl::StrCat(other, "v")}, inner, d);
    block->cross_o = Linear({absl::StrCat(other, "o")}, d, inner);
  }
  const std::string ff = absl::StrCat(prefix, cross ? 2 : 1);
  const std::string dense = absl::StrCat(ff, ".DenseReluDense.");
  block->ff_norm = Norm(absl::StrCat(ff, ".layer_norm"));
  block->wi = config_.gated ? Linear({absl::StrCat(dense, "wi_0"), absl::StrCat(dense, "wi_1")},
                                     config_.d_ff, d)
                            : Linear({absl::StrCat(dense, "wi")}, config_.d_ff, d);
  block->wo = Linear({absl::StrCat(dense, "wo")}, d, config_.d_ff);
}

std::unique_ptr<T5Weights> T5Loader::Load() {
  auto weights = std::make_unique<T5Weights>();
  weights->config = config_;
  weights->embedding = reader_.Float32("shared.weight", {config_.vocab_size, config_.d_model});
  weights->encoder.resize(config_.num_layers);
  for (int i = 0; i < config_.num_layers; ++i)
    Block("encoder", i, /*cross=*/false, &weights->encoder[i]);
  weights->decoder.resize(config_.num_decoder_layers);
  for (int i = 0; i < config_.num_decoder_layers; ++i)
    Block("decoder", i, /*cross=*/true, &weights->decoder[i]);
  weights->encoder_norm = Norm("encoder.final_layer_norm");
  weights->decoder_norm = Norm("decoder.final_layer_norm");
  weights->encoder_bias = Bias("encoder", config_.num_layers, /*bidirectional=*/true);
  weights->decoder_bias = Bias("decoder", config_.num_decoder_layers, /*bidirectional=*/false);
  // Tied, the head is a packed copy of the embedding: the same parameters.
  weights->lm_head = Linear({config_.tie_word_embeddings ? "shared" : "lm_head"},
                            config_.vocab_size, config_.d_model);
  weights->lm_head.set_module("lm_head");
  if (!config_.tie_word_embeddings) parameters_ += static_cast<int64_t>(weights->embedding.size());
  weights->parameters = parameters_;
  return weights;
}

}  // namespace

std::vector<const CpuLinear*> T5Weights::Linears() const {
  std::vector<const CpuLinear*> linears;
  for (const T5Block& block : encoder) {
    linears.insert(linears.end(), {&block.self_qkv, &block.self_o, &block.wi, &block.wo});
  }
  for (const T5Block& block : decoder) {
    linears.insert(linears.end(), {&block.self_qkv, &block.self_o, &block.cross_q, &block.cross_kv,
                                   &block.cross_o, &block.wi, &block.wo});
  }
  linears.push_back(&lm_head);
  return linears;
}

absl::StatusOr<std::unique_ptr<T5Weights>> LoadT5Weights(const std::string& folder,
                                                         CpuBackend* backend) {
  MELLOW_ASSIGN_OR_RETURN(const PretrainedT5 model, ReadPretrainedT5(folder));
  T5Loader loader(backend, model.config, model.tensors);
  std::unique_ptr<T5Weights> weights = loader.Load();
  if (absl::Status status = loader.Finish(); !status.ok()) return Annotate(status, folder);
  return weights;
}

}  // namespace mellow::nn::cpu
