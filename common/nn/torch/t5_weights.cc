#include "common/nn/torch/t5_weights.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"
#include "common/nn/torch/tensors.h"

namespace mellow::nn {
namespace {

class Builder {
 public:
  Builder(const T5Config& config, const TensorMap& tensors, at::Device device, at::ScalarType type)
      : c_(config), reader_(tensors), device_(device), type_(type) {
    w_.config = config;
  }

  absl::StatusOr<T5Weights> Build() {
    w_.embedding = Take("shared.weight", {c_.vocab_size, c_.d_model});
    w_.head = (c_.tie_word_embeddings ? w_.embedding
                                      : Take("lm_head.weight", {c_.vocab_size, c_.d_model}))
                  .to(type_);
    Stack("encoder", c_.num_layers, /*decoder=*/false, &w_.encoder);
    Stack("decoder", c_.num_decoder_layers, /*decoder=*/true, &w_.decoder);
    MELLOW_RETURN_IF_ERROR(reader_.Finish());
    return std::move(w_);
  }

 private:
  at::Tensor Take(const std::string& name, const std::vector<int64_t>& shape) {
    const HostTensor* tensor = reader_.Get(name, shape);
    // The problem is in the reader; zeros let the rest be checked too.
    at::Tensor out = tensor == nullptr
                         ? at::zeros(shape, at::TensorOptions(at::kFloat).device(device_))
                         : ToTorch(*tensor, device_);
    w_.parameter_count += out.numel();
    return out;
  }

  T5Linear Linear(const std::string& name, int64_t out, int64_t in, at::ScalarType type) {
    T5Linear linear{Take(name + ".weight", {out, in}).to(type),
                    static_cast<int>(w_.modules.size())};
    w_.modules.push_back({name, in, out});
    return linear;
  }

  void Attention(const std::string& layer, const std::string& kind, T5Attention* attention) {
    const std::string name = absl::StrCat(layer, ".", kind);
    attention->layer_norm = Take(layer + ".layer_norm.weight", {c_.d_model});
    attention->q = Linear(name + ".q", c_.inner_dim(), c_.d_model, type_);
    attention->k = Linear(name + ".k", c_.inner_dim(), c_.d_model, type_);
    attention->v = Linear(name + ".v", c_.inner_dim(), c_.d_model, type_);
    attention->o = Linear(name + ".o", c_.d_model, c_.inner_dim(), type_);
  }

  void FeedForward(const std::string& layer, T5FeedForward* ff) {
    const std::string name = layer + ".DenseReluDense";
    ff->layer_norm = Take(layer + ".layer_norm.weight", {c_.d_model});
    ff->wi = Linear(name + (c_.gated ? ".wi_0" : ".wi"), c_.d_ff, c_.d_model, type_);
    if (c_.gated) ff->wi_gate = Linear(name + ".wi_1", c_.d_ff, c_.d_model, type_);
    ff->wo = Linear(name + ".wo", c_.d_model, c_.d_ff, at::kFloat);
  }

  void Stack(const std::string& stack, int layers, bool decoder, T5Stack* out) {
    for (int i = 0; i < layers; ++i) {
      const std::string block = absl::StrCat(stack, ".block.", i);
      T5Block& b = out->blocks.emplace_back();
      Attention(block + ".layer.0", "SelfAttention", &b.self_attention);
      if (decoder) Attention(block + ".layer.1", "EncDecAttention", &b.cross_attention);
      FeedForward(absl::StrCat(block, ".layer.", decoder ? 2 : 1), &b.feed_forward);
    }
    for (int i = 0; i < (c_.bias_in_every_layer ? layers : 1); ++i)
      out->relative_attention_biases.push_back(
          Take(absl::StrCat(stack, ".block.", i,
                            ".layer.0.SelfAttention.relative_attention_bias.weight"),
               {c_.relative_attention_num_buckets, c_.num_heads}));
    out->final_layer_norm = Take(stack + ".final_layer_norm.weight", {c_.d_model});
  }

  const T5Config c_;
  TensorReader reader_;
  const at::Device device_;
  const at::ScalarType type_;
  T5Weights w_;
};

}  // namespace

absl::StatusOr<T5Weights> BuildT5Weights(const T5Config& config, const TensorMap& tensors,
                                         at::Device device, at::ScalarType type) {
  return CatchTorch([&] { return Builder(config, tensors, device, type).Build(); });
}

absl::StatusOr<T5Weights> LoadT5Weights(const std::string& folder, at::Device device,
                                        at::ScalarType type) {
  MELLOW_ASSIGN_OR_RETURN(const PretrainedT5 model, ReadPretrainedT5(folder));
  absl::StatusOr<T5Weights> weights = BuildT5Weights(model.config, model.tensors, device, type);
  if (!weights.ok()) return Annotate(weights.status(), folder);
  weights->folder = folder;
  return weights;
}

}  // namespace mellow::nn
