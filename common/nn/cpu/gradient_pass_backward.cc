// The backward pass: sub-layers from the last to the first that is trained.
#include <algorithm>
#include <cstring>

#include "common/nn/cpu/gradient_pass.h"

namespace mellow::nn::cpu {

void GradientPass::NormBackward(const std::vector<float>& weight, const float* x, const float* dy,
                                int rows, float* dx) const {
  const int d = config().d_model;
  const auto eps = static_cast<float>(config().layer_norm_epsilon);
  model_->backend_->ForRows(rows, [&](int start, int count) {
    for (int i = start; i < start + count; ++i) {
      const size_t row = static_cast<size_t>(i) * d;
      kernels().rms_norm_backward(x + row, weight.data(), dy + row, eps, d, dx + row);
    }
  });
}

const float* GradientPass::ResidualGradient(const float* dx, const Sequences& rows,
                                            uint32_t place) {
  const double rate = context_.model_rate();
  if (rate <= 0) return dx;
  const size_t floats = static_cast<size_t>(rows.rows()) * config().d_model;
  float* const copy = context_.scratch->Take(floats);
  std::memcpy(copy, dx, floats * sizeof(float));
  context_.Drop(rate, place, rows, config().d_model, copy);
  return copy;
}

float* GradientPass::ContextGradient(const TrainedLinear& layer, const Sequences& rows,
                                     const AttentionTape& tape, const float* dx) {
  const int inner = config().inner_dim();
  float* const d_context = context_.scratch->Take(static_cast<size_t>(rows.rows()) * inner);
  const float* const dy = ResidualGradient(dx, rows, tape.residual_place);
  cpu::Backward(
      &context_, layer, rows, tape.out,
      {.x = {tape.context, inner}, .dy = {dy, config().d_model}, .dx = {d_context, inner}},
      adapter_gradients_);
  return d_context;
}

void GradientPass::AttendBackward(const AttentionShape& shape, const AttentionTape& tape,
                                  const float* d_context, kernels::Rows dq, kernels::Rows dk,
                                  kernels::Rows dv) {
  const int inner = config().inner_dim();
  model_->backend_->pool.Run(shape.queries->count() * config().num_heads, [&](int task) {
    const Head head = HeadOf(shape, tape, task);
    const auto at = [&](kernels::Rows rows, ptrdiff_t row) -> kernels::Rows {
      return {rows.data + row * rows.stride + head.column, rows.stride};
    };
    kernels::AttendBackward(kernels(), model_->layout_, head.k, head.v, head.args,
                            {.d_out = {d_context + head.query * inner + head.column, inner},
                             .dq = at(dq, head.query),
                             .dk = at(dk, head.key),
                             .dv = at(dv, head.key)});
  });
}

const float* GradientPass::AdaptedInput(const TrainedLinear& layer, const std::vector<float>& norm,
                                        const float* x, int rows) {
  if (!lora_.Adapts(layer)) return nullptr;
  float* const normed = context_.scratch->Take(static_cast<size_t>(rows) * config().d_model);
  Norm(norm, x, rows, normed);
  return normed;
}

// For y = x + O attend(QKV norm(x)):  dx = dy + norm'(QKV^T attend'(O^T dy)).
void GradientPass::SelfAttentionBackward(const GradientT5::Block& block, const Sequences& rows,
                                         LayerBias bias, bool causal, const AttentionTape& tape,
                                         bool through, float* dx) {
  const int d = config().d_model;
  const int inner = config().inner_dim();
  const int stride = 3 * inner;
  const auto n = static_cast<size_t>(rows.rows());
  const kernels::Arena::Mark mark = context_.scratch->mark();
  const float* const d_context = ContextGradient(block.self_o, rows, tape, dx);
  float* const d_qkv = context_.scratch->Take(n * stride);
  AttendBackward(SelfShape(bias, rows, causal, tape), tape, d_context, {d_qkv, stride},
                 {d_qkv + inner, stride}, {d_qkv + 2 * inner, stride});
  const std::vector<float>& norm = block.weights->self_norm;
  float* const d_normed = through ? context_.scratch->Take(n * d) : nullptr;
  cpu::Backward(&context_, block.self_qkv, rows, tape.in,
                {.x = {AdaptedInput(block.self_qkv, norm, tape.x, rows.rows()), d},
                 .dy = {d_qkv, stride},
                 .dx = {d_normed, d}},
                adapter_gradients_);
  if (through) NormBackward(norm, tape.x, d_normed, rows.rows(), dx);
  context_.scratch->Rewind(mark);
}

// For y = x + O attend(Q norm(x), KV e), e the encoder's output:  with (dq, d_kv) = attend'(O^T
// dy), dx = dy + norm'(Q^T dq);  de += KV^T d_kv.
void GradientPass::CrossAttentionBackward(const GradientT5::Block& block, const AttentionTape& tape,
                                          bool through, float* dx, float* d_encoded) {
  const int d = config().d_model;
  const int inner = config().inner_dim();
  const Sequences& rows = batch_.targets;
  const auto n = static_cast<size_t>(rows.rows());
  const kernels::Arena::Mark mark = context_.scratch->mark();
  const float* const d_context = ContextGradient(block.cross_o, rows, tape, dx);
  float* const dq = context_.scratch->Take(n * inner);
  float* const d_kv =
      context_.scratch->Take(static_cast<size_t>(batch_.sources.rows()) * 2 * inner);
  AttendBackward(CrossShape(tape), tape, d_context, {dq, inner}, {d_kv, 2 * inner},
                 {d_kv + inner, 2 * inner});
  const std::vector<float>& norm = block.weights->cross_norm;
  float* const d_normed = through ? context_.scratch->Take(n * d) : nullptr;
  cpu::Backward(&context_, block.cross_q, rows, tape.in,
                {.x = {AdaptedInput(block.cross_q, norm, tape.x, rows.rows()), d},
                 .dy = {dq, inner},
                 .dx = {d_normed, d}},
                adapter_gradients_);
  cpu::Backward(&context_, block.cross_kv, batch_.sources, tape.kv,
                {.x = {encoder_end_.hidden, d},
                 .dy = {d_kv, 2 * inner},
                 .dx = {d_encoded, d},
                 .accumulate = true},
                adapter_gradients_);
  if (through) NormBackward(norm, tape.x, d_normed, rows.rows(), dx);
  context_.scratch->Rewind(mark);
}

// For y = x + Wo u with u = f(g) h, [g, h] = Wi norm(x) (ungated u = f(g)):  du = Wo^T dy;
// dg = f'(g) h du;  dh = f(g) du;  dx = dy + norm'(Wi^T [dg, dh]).
void GradientPass::FeedForwardBackward(const GradientT5::Block& block, const Sequences& rows,
                                       const FeedForwardTape& tape, bool through, float* dx) {
  const auto d = static_cast<size_t>(config().d_model);
  const auto ff = static_cast<size_t>(config().d_ff);
  const auto wide = static_cast<size_t>(block.wi.out());
  const int n = config().d_ff;
  const int step = FeedForwardStep(block, rows.rows());
  const std::vector<float>& norm = block.weights->ff_norm;
  const kernels::Arena::Mark mark = context_.scratch->mark();
  const float* const dy = ResidualGradient(dx, rows, tape.residual_place);
  float* const d_inner = context_.scratch->Take(step * ff);
  float* const d_normed = through ? context_.scratch->Take(step * d) : nullptr;
  float* const inner = lora_.Adapts(block.wo) ? context_.scratch->Take(step * ff) : nullptr;
  const double rate = context_.model_rate();
  for (int start = 0; start < rows.rows(); start += step) {
    const int count = std::min(step, rows.rows() - start);
    const Sequences part = step == rows.rows() ? rows : Sequences{{0, count}};
    float* const hidden = tape.hidden + start * wide;
    if (inner != nullptr) {
      Activate(hidden, count, inner);
      context_.Drop(rate, tape.inner_place, part, n, inner);
    }
    cpu::Backward(&context_, block.wo, part, tape.wo,
                  {.x = {inner, n}, .dy = {dy + start * d, config().d_model}, .dx = {d_inner, n}},
                  adapter_gradients_);
    context_.Drop(rate, tape.inner_place, part, n, d_inner);
    // The gradient of the pre-activations takes their place.
    model_->backend_->ForRows(count, [&](int first, int many) {
      for (int i = first; i < first + many; ++i) {
        float* const row = hidden + i * wide;
        float* const d_row = d_inner + i * ff;
        if (config().gated) {
          kernels().activate_gated_backward(activation_, row, row + ff, d_row, n, row, row + ff);
        } else {
          kernels().activate_backward(activation_, row, n, d_row);
          std::memcpy(row, d_row, ff * sizeof(float));
        }
      }
    });
    const float* const x = tape.x + start * d;
    cpu::Backward(&context_, block.wi, part, tape.wi,
                  {.x = {AdaptedInput(block.wi, norm, x, count), config().d_model},
                   .dy = {hidden, block.wi.out()},
                   .dx = {d_normed, config().d_model}},
                  adapter_gradients_);
    if (through) NormBackward(norm, x, d_normed, count, dx + start * d);
  }
  context_.scratch->Rewind(mark);
}

bool GradientPass::Adapted(const GradientT5::Block& block, int sub_layer) const {
  const auto any = [&](std::initializer_list<const TrainedLinear*> layers) {
    return std::any_of(layers.begin(), layers.end(),
                       [&](const TrainedLinear* layer) { return lora_.Adapts(*layer); });
  };
  switch (sub_layer) {
    case kSelf:
      return any({&block.self_qkv, &block.self_o});
    case kCross:
      return block.cross_q.linear != nullptr &&
             any({&block.cross_q, &block.cross_kv, &block.cross_o});
    default:
      return any({&block.wi, &block.wo});
  }
}

int GradientPass::FirstAdapted(const std::vector<GradientT5::Block>& blocks) const {
  const int count = static_cast<int>(blocks.size()) * kSubLayers;
  for (int i = 0; i < count; ++i) {
    if (Adapted(blocks[static_cast<size_t>(i / kSubLayers)], i % kSubLayers)) return i;
  }
  return count;
}

void GradientPass::Backward(const float* d_hidden, absl::Span<const LoraGradients> gradients) {
  adapter_gradients_ = gradients;
  const T5Weights& weights = *model_->weights_;
  context_.scratch->Rewind({});  // what a pass that threw has left there
  const auto zeros = [&](const Sequences& rows) {
    const size_t floats = static_cast<size_t>(rows.rows()) * config().d_model;
    float* const x = context_.scratch->Take(floats);
    std::fill_n(x, floats, 0.0f);
    return x;
  };
  const int first_encoder = FirstAdapted(model_->encoder_);
  const bool encoder = first_encoder < static_cast<int>(encoder_.size()) * kSubLayers;
  // What the encoder gets comes through the first block's cross-attention too.
  const int first_decoder =
      std::min(FirstAdapted(model_->decoder_),
               encoder ? int{kCross} : kSubLayers * static_cast<int>(decoder_.size()));

  float* const dx = zeros(batch_.targets);
  float* const d_encoded = encoder ? zeros(batch_.sources) : nullptr;
  {
    const kernels::Arena::Mark inner = context_.scratch->mark();
    NormBackward(weights.decoder_norm, decoder_end_.x,
                 ResidualGradient(d_hidden, batch_.targets, decoder_end_.place),
                 batch_.targets.rows(), dx);
    context_.scratch->Rewind(inner);
  }
  for (int i = static_cast<int>(decoder_.size()) * kSubLayers - 1; i >= first_decoder; --i) {
    const auto layer = static_cast<size_t>(i / kSubLayers);
    const GradientT5::Block& block = model_->decoder_[layer];
    const BlockTape& tape = decoder_[layer];
    const bool through = i > first_decoder;
    switch (i % kSubLayers) {
      case kSelf:
        SelfAttentionBackward(block, batch_.targets, {&weights.decoder_bias, layer}, true,
                              tape.self, through, dx);
        break;
      case kCross:
        CrossAttentionBackward(block, tape.cross, through, dx, d_encoded);
        break;
      default:
        FeedForwardBackward(block, batch_.targets, tape.feed_forward, through, dx);
    }
  }
  if (encoder) {
    float* const dx_encoder = zeros(batch_.sources);
    NormBackward(weights.encoder_norm, encoder_end_.x,
                 ResidualGradient(d_encoded, batch_.sources, encoder_end_.place),
                 batch_.sources.rows(), dx_encoder);
    for (int i = static_cast<int>(encoder_.size()) * kSubLayers - 1; i >= first_encoder; --i) {
      const auto layer = static_cast<size_t>(i / kSubLayers);
      const GradientT5::Block& block = model_->encoder_[layer];
      const BlockTape& tape = encoder_[layer];
      const bool through = i > first_encoder;
      if (i % kSubLayers == kSelf)
        SelfAttentionBackward(block, batch_.sources, {&weights.encoder_bias, layer}, false,
                              tape.self, through, dx_encoder);
      if (i % kSubLayers == kFeedForward)
        FeedForwardBackward(block, batch_.sources, tape.feed_forward, through, dx_encoder);
    }
  }
  context_.scratch->Rewind({});
}

}  // namespace mellow::nn::cpu
