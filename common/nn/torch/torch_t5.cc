#include "common/nn/torch/torch_t5.h"

#include "common/nn/torch/rms_norm.h"
#include "common/nn/torch/tensors.h"

namespace mellow::nn {
PackedIds PackIds(absl::Span<const std::vector<int64_t>> rows, at::Device device) {
  PackedIds packed;
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& row : rows) {
    all.insert(all.end(), row.begin(), row.end());
    packed.lengths.push_back(static_cast<int64_t>(row.size()));
  }
  packed.ids = IdTensor(all, device);
  return packed;
}

at::Tensor Activate(const at::Tensor& x, T5Activation activation) {
  switch (activation) {
    case T5Activation::kRelu: return at::relu(x);
    case T5Activation::kGeluNew: return at::gelu(x, "tanh");
    case T5Activation::kGelu: return at::gelu(x);
    case T5Activation::kSilu: return at::silu(x);
  }
  return x;
}

at::Tensor BaseLinear(const at::Tensor& x, const at::Tensor& weight) {
  if (weight.scalar_type() == at::kFloat) return at::linear(x, weight);
  return at::linear(x.to(weight.scalar_type()), weight).to(at::kFloat);
}

at::Tensor LoraLinear(const at::Tensor& x, const T5Linear& linear, const TorchLora& lora) {
  at::Tensor y = BaseLinear(x, linear.weight);
  const TorchLora::Pair& pair = lora.pair(linear.slot);
  if (pair.a.defined()) y.addmm_(at::linear(x, pair.a), pair.b.t(), 1, lora.scaling());
  return y;
}

at::Tensor FeedForward(const at::Tensor& x, const T5FeedForward& ff, const T5Config& config,
                       const TorchLora& lora) {
  const at::Tensor normed = RmsNorm(x, ff.layer_norm, config.layer_norm_epsilon);
  at::Tensor inner = Activate(LoraLinear(normed, ff.wi, lora), config.activation);
  if (config.gated) inner = inner * LoraLinear(normed, ff.wi_gate, lora);
  return x + LoraLinear(inner, ff.wo, lora);
}

TorchT5::TorchT5(std::shared_ptr<const T5Weights> weights)
    : weights_(std::move(weights)),
      encoder_bias_(weights_->config, weights_->encoder.relative_attention_bias, /*causal=*/false),
      decoder_bias_(weights_->config, weights_->decoder.relative_attention_bias, /*causal=*/true) {}

// q: [queries, inner], k and v: [keys, inner], bias: [heads, queries, keys] or undefined. T5 does not scale the scores.
at::Tensor TorchT5::AttendRow(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias) const {
  const int64_t heads = config().num_heads;
  const int64_t width = config().d_kv;
  const auto split = [&](const at::Tensor& x) { return x.view({x.size(0), heads, width}).transpose(0, 1); };
  const at::Tensor keys = split(k).transpose(1, 2);
  const at::Tensor scores = bias.defined() ? at::baddbmm(bias, split(q), keys) : at::bmm(split(q), keys);
  const at::Tensor mixed = at::bmm(at::softmax(scores, -1), split(v));  // [heads, queries, width]
  return mixed.transpose(0, 1).reshape({q.size(0), heads * width});
}

at::Tensor TorchT5::SelfAttention(const at::Tensor& x, const T5Attention& attention,
                                  const std::vector<int64_t>& lengths, PositionBias* bias,
                                  const TorchLora& lora) const {
  const at::Tensor normed = RmsNorm(x, attention.layer_norm, config().layer_norm_epsilon);
  const auto q = LoraLinear(normed, attention.q, lora).split_with_sizes(lengths);
  const auto k = LoraLinear(normed, attention.k, lora).split_with_sizes(lengths);
  const auto v = LoraLinear(normed, attention.v, lora).split_with_sizes(lengths);
  std::vector<at::Tensor> rows;
  rows.reserve(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i)
    rows.push_back(AttendRow(q[i], k[i], v[i], bias->Get(lengths[i])));
  return x + LoraLinear(at::cat(rows), attention.o, lora);
}

at::Tensor TorchT5::CrossAttention(const at::Tensor& x, const at::Tensor& encoded,
                                   const T5Attention& attention, const std::vector<int64_t>& lengths,
                                   const std::vector<int64_t>& source_lengths,
                                   const TorchLora& lora) const {
  const at::Tensor normed = RmsNorm(x, attention.layer_norm, config().layer_norm_epsilon);
  const auto q = LoraLinear(normed, attention.q, lora).split_with_sizes(lengths);
  const auto k = LoraLinear(encoded, attention.k, lora).split_with_sizes(source_lengths);
  const auto v = LoraLinear(encoded, attention.v, lora).split_with_sizes(source_lengths);
  std::vector<at::Tensor> rows;
  rows.reserve(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) rows.push_back(AttendRow(q[i], k[i], v[i], at::Tensor()));
  return x + LoraLinear(at::cat(rows), attention.o, lora);
}

at::Tensor TorchT5::Encode(const PackedIds& source, const TorchLora& lora) {
  at::Tensor x = at::embedding(weights_->embedding, source.ids);
  for (const T5Block& block : weights_->encoder.blocks) {
    x = SelfAttention(x, block.self_attention, source.lengths, &encoder_bias_, lora);
    x = FeedForward(x, block.feed_forward, config(), lora);
  }
  return RmsNorm(x, weights_->encoder.final_layer_norm, config().layer_norm_epsilon);
}

at::Tensor TorchT5::Decode(const PackedIds& target, const at::Tensor& encoded,
                           const std::vector<int64_t>& source_lengths, const TorchLora& lora) {
  at::Tensor x = at::embedding(weights_->embedding, target.ids);
  for (const T5Block& block : weights_->decoder.blocks) {
    x = SelfAttention(x, block.self_attention, target.lengths, &decoder_bias_, lora);
    x = CrossAttention(x, encoded, block.cross_attention, target.lengths, source_lengths, lora);
    x = FeedForward(x, block.feed_forward, config(), lora);
  }
  return RmsNorm(x, weights_->decoder.final_layer_norm, config().layer_norm_epsilon);
}

}  // namespace mellow::nn
