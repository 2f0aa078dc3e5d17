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

at::Tensor BaseLinear(const at::Tensor& x, const at::Tensor& weight) {
  if (weight.scalar_type() == at::kFloat) return at::linear(x, weight);
  return at::linear(x.to(weight.scalar_type()), weight).to(at::kFloat);
}

at::Tensor LoraLinear(const at::Tensor& x, const T5Linear& linear, const TorchLora& lora,
                      const RowDropout& dropout) {
  at::Tensor y = BaseLinear(x, linear.weight);
  const TorchLora::Pair& pair = lora.pair(linear.slot);
  if (pair.a.defined())
    y.addmm_(at::linear(dropout.LoraInput(x), pair.a), pair.b.t(), 1, pair.scaling);
  return y;
}

at::Tensor FeedForward(const at::Tensor& x, const T5FeedForward& ff, const T5Config& config,
                       const TorchLora& lora, const RowDropout& dropout) {
  const at::Tensor normed = RmsNorm(x, ff.layer_norm, config.layer_norm_epsilon);
  at::Tensor inner = Activate(LoraLinear(normed, ff.wi, lora, dropout), config.activation);
  if (config.gated) inner = inner * LoraLinear(normed, ff.wi_gate, lora, dropout);
  return x + dropout.Hidden(LoraLinear(dropout.Hidden(inner), ff.wo, lora, dropout));
}

TorchT5::TorchT5(std::shared_ptr<const T5Weights> weights)
    : weights_(std::move(weights)),
      encoder_bias_(weights_->config, weights_->encoder.relative_attention_biases,
                    /*causal=*/false),
      decoder_bias_(weights_->config, weights_->decoder.relative_attention_biases,
                    /*causal=*/true) {}

// Each row has q: [queries, inner], k and v: [keys, inner]. T5 does not scale the scores.
at::Tensor TorchT5::Attend(const std::vector<at::Tensor>& q, const std::vector<at::Tensor>& k,
                           const std::vector<at::Tensor>& v,
                           const std::vector<at::Tensor>& positions, PositionBias* bias,
                           Dropout* dropout) const {
  const int64_t heads = config().num_heads;
  const int64_t width = config().d_kv;
  const auto split = [&](const at::Tensor& x) {
    return x.view({x.size(0), heads, width}).transpose(0, 1);
  };
  const uint32_t place = dropout == nullptr ? 0 : dropout->NextAttention();
  std::vector<at::Tensor> rows;
  rows.reserve(q.size());
  for (size_t i = 0; i < q.size(); ++i) {
    const at::Tensor queries = split(q[i]);
    const at::Tensor keys = split(k[i]).transpose(1, 2);
    at::Tensor scores;
    if (bias == nullptr) {
      scores = at::bmm(queries, keys);
    } else if (positions.empty() || !positions[i].defined()) {
      scores = at::baddbmm(bias->Get(q[i].size(0)), queries, keys);
    } else {
      const at::Tensor& here = positions[i];
      const at::Tensor all = bias->Get(here[-1].item<int64_t>() + 1);
      scores = at::baddbmm(all.index_select(1, here).index_select(2, here), queries, keys);
    }
    at::Tensor weights = at::softmax(scores, -1);
    if (dropout != nullptr) weights = dropout->Attention(weights, place, i);
    const at::Tensor mixed = at::bmm(weights, split(v[i]));  // [heads, queries, width]
    rows.push_back(mixed.transpose(0, 1).reshape({q[i].size(0), heads * width}));
  }
  return at::cat(rows);
}

at::Tensor TorchT5::SelfAttention(const at::Tensor& x, const T5Attention& attention,
                                  const std::vector<int64_t>& lengths,
                                  const std::vector<at::Tensor>& positions, PositionBias* bias,
                                  const TorchLora& lora, Dropout* dropout) const {
  const RowDropout drop{dropout, &lengths};
  const at::Tensor normed = RmsNorm(x, attention.layer_norm, config().layer_norm_epsilon);
  const auto q = LoraLinear(normed, attention.q, lora, drop).split_with_sizes(lengths);
  const auto k = LoraLinear(normed, attention.k, lora, drop).split_with_sizes(lengths);
  const auto v = LoraLinear(normed, attention.v, lora, drop).split_with_sizes(lengths);
  return x + drop.Hidden(
                 LoraLinear(Attend(q, k, v, positions, bias, dropout), attention.o, lora, drop));
}

at::Tensor TorchT5::CrossAttention(const at::Tensor& x, const at::Tensor& encoded,
                                   const T5Attention& attention,
                                   const std::vector<int64_t>& lengths,
                                   const std::vector<int64_t>& source_lengths,
                                   const TorchLora& lora, Dropout* dropout) const {
  const RowDropout drop{dropout, &lengths};
  const RowDropout source_drop{dropout, &source_lengths};
  const at::Tensor normed = RmsNorm(x, attention.layer_norm, config().layer_norm_epsilon);
  const auto q = LoraLinear(normed, attention.q, lora, drop).split_with_sizes(lengths);
  const auto k =
      LoraLinear(encoded, attention.k, lora, source_drop).split_with_sizes(source_lengths);
  const auto v =
      LoraLinear(encoded, attention.v, lora, source_drop).split_with_sizes(source_lengths);
  return x +
         drop.Hidden(LoraLinear(Attend(q, k, v, {}, nullptr, dropout), attention.o, lora, drop));
}

at::Tensor TorchT5::Encode(const PackedIds& source, const TorchLora& lora, Dropout* dropout) {
  const RowDropout drop{dropout, &source.lengths};
  at::Tensor x = drop.Hidden(at::embedding(weights_->embedding, source.ids));
  for (size_t layer = 0; layer < weights_->encoder.blocks.size(); ++layer) {
    const T5Block& block = weights_->encoder.blocks[layer];
    x = SelfAttention(x, block.self_attention, source.lengths, source.positions,
                      &encoder_bias_.layer(layer), lora, dropout);
    x = FeedForward(x, block.feed_forward, config(), lora, drop);
  }
  return drop.Hidden(RmsNorm(x, weights_->encoder.final_layer_norm, config().layer_norm_epsilon));
}

at::Tensor TorchT5::Decode(const PackedIds& target, const at::Tensor& encoded,
                           const std::vector<int64_t>& source_lengths, const TorchLora& lora,
                           Dropout* dropout) {
  const RowDropout drop{dropout, &target.lengths};
  at::Tensor x = drop.Hidden(at::embedding(weights_->embedding, target.ids));
  for (size_t layer = 0; layer < weights_->decoder.blocks.size(); ++layer) {
    const T5Block& block = weights_->decoder.blocks[layer];
    x = SelfAttention(x, block.self_attention, target.lengths, {}, &decoder_bias_.layer(layer),
                      lora, dropout);
    x = CrossAttention(x, encoded, block.cross_attention, target.lengths, source_lengths, lora,
                       dropout);
    x = FeedForward(x, block.feed_forward, config(), lora, drop);
  }
  return drop.Hidden(RmsNorm(x, weights_->decoder.final_layer_norm, config().layer_norm_epsilon));
}

}  // namespace mellow::nn
