// Construction and the forward pass; gradient_pass_backward.cc has the other half.
#include "common/nn/cpu/gradient_pass.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mellow::nn::cpu {
namespace {

int Longest(const Sequences& rows) {
  int longest = 0;
  for (int i = 0; i < rows.count(); ++i) longest = std::max(longest, rows.length(i));
  return longest;
}

}  // namespace

GradientPass::GradientPass(GradientT5* model, GradientT5::Batch batch, PackedLora lora,
                           const DropoutMasks* dropout, bool gradients,
                           std::unique_ptr<kernels::Arena> arena)
    : model_(model),
      batch_(std::move(batch)),
      lora_(std::move(lora)),
      gradients_(gradients),
      activation_(ToKernel(model->config().activation)),
      arena_(std::move(arena)),
      encoder_(model->encoder_.size()),
      decoder_(model->decoder_.size()) {
  context_.backend = model_->backend_.get();
  context_.lora = &lora_;
  context_.dropout = dropout;
  context_.scratch = &model_->scratch_;
  context_.kept = gradients_ ? arena_.get() : context_.scratch;
  model_->weights_->encoder_bias.Reserve(Longest(batch_.sources));
  model_->weights_->decoder_bias.Reserve(Longest(batch_.targets));
}

GradientPass::~GradientPass() {
  if (!gradients_) return;
  arena_->Rewind({});
  model_->free_.push_back(std::move(arena_));
}

float* GradientPass::Embed(absl::Span<const int32_t> tokens, const Sequences& rows) {
  const auto d = static_cast<size_t>(config().d_model);
  float* const x = context_.kept->Take(tokens.size() * d);
  for (size_t i = 0; i < tokens.size(); ++i)
    std::memcpy(x + i * d, model_->weights_->embedding.data() + tokens[i] * d, d * sizeof(float));
  const double rate = context_.model_rate();
  context_.Drop(rate, context_.NextPlace(rate), rows, config().d_model, x);
  return x;
}

void GradientPass::Norm(const std::vector<float>& weight, const float* x, int rows,
                        float* y) const {
  const int d = config().d_model;
  const auto eps = static_cast<float>(config().layer_norm_epsilon);
  model_->backend_->ForRows(rows, [&](int start, int count) {
    for (int i = start; i < start + count; ++i) {
      const size_t row = static_cast<size_t>(i) * d;
      kernels().rms_norm(x + row, weight.data(), eps, d, y + row);
    }
  });
}

float* GradientPass::NextResidual(float* x, int rows) {
  if (!gradients_) return x;
  const auto d = static_cast<size_t>(config().d_model);
  float* const next = context_.kept->Take(rows * d);
  model_->backend_->ForRows(rows, [&](int start, int count) {
    std::memcpy(next + start * d, x + start * d, count * d * sizeof(float));
  });
  return next;
}

void GradientPass::Add(const float* x, int rows, float* y) const {
  const auto d = static_cast<size_t>(config().d_model);
  model_->backend_->ForRows(rows, [&](int start, int count) {
    kernels().add(x + start * d, static_cast<int>(count * d), y + start * d);
  });
}

void GradientPass::AddToResidual(const TrainedLinear& layer, kernels::ConstRows x,
                                 const Sequences& rows, float* next, LinearTape* tape,
                                 uint32_t* place) {
  const int d = config().d_model;
  const double rate = context_.model_rate();
  if (rate <= 0) return cpu::Forward(&context_, layer, x, rows, {next, d}, true, tape);
  float* const y = context_.scratch->Take(static_cast<size_t>(rows.rows()) * d);
  cpu::Forward(&context_, layer, x, rows, {y, d}, false, tape);
  *place = context_.NextPlace(rate);
  context_.Drop(rate, *place, rows, d, y);
  Add(y, rows.rows(), next);
}

GradientPass::AttentionShape GradientPass::SelfShape(LayerBias bias, const Sequences& rows,
                                                     bool causal, const AttentionTape& tape) const {
  const int inner = config().inner_dim();
  return {.queries = &rows,
          .keys = &rows,
          .causal = causal,
          .bias = bias,
          .q = {tape.projected, 3 * inner},
          .k = {tape.projected + inner, 3 * inner},
          .v = {tape.projected + 2 * inner, 3 * inner}};
}

GradientPass::AttentionShape GradientPass::CrossShape(const AttentionTape& tape) const {
  const int inner = config().inner_dim();
  return {.queries = &batch_.targets,
          .keys = &batch_.sources,
          .q = {tape.projected, inner},
          .k = {tape.keys_values, 2 * inner},
          .v = {tape.keys_values + inner, 2 * inner}};
}

GradientPass::Head GradientPass::HeadOf(const AttentionShape& shape, const AttentionTape& tape,
                                        int task) const {
  const int i = task / config().num_heads;
  const int head = task % config().num_heads;
  const int column = head * config().d_kv;
  const ptrdiff_t query = shape.queries->offsets[i];
  const ptrdiff_t key = shape.keys->offsets[i];
  Head out;
  out.query = query;
  out.key = key;
  out.column = column;
  out.k = {shape.k.data + key * shape.k.stride + column, shape.k.stride};
  out.v = {shape.v.data + key * shape.v.stride + column, shape.v.stride};
  kernels::AttentionArgs& args = out.args;
  args.q = {shape.q.data + query * shape.q.stride + column, shape.q.stride};
  args.queries = shape.queries->length(i);
  args.keys = shape.keys->length(i);
  args.causal = shape.causal;
  if (shape.bias.stack != nullptr) args.bias = shape.bias.stack->Center(shape.bias.layer, head);
  const double rate = context_.model_rate();
  if (rate > 0) {
    const int64_t first = int64_t{head} * args.queries * args.keys;
    args.drop = [=, this, keys = args.keys, place = tape.probabilities_place](
                    int position, float* probabilities, int seen) {
      context_.dropout->Multiply(rate, place, static_cast<size_t>(i),
                                 first + int64_t{position} * keys, seen, probabilities);
    };
  }
  return out;
}

void GradientPass::Attend(const AttentionShape& shape, const TrainedLinear& reader,
                          AttentionTape* tape) {
  const int inner = config().inner_dim();
  kernels::Arena* const arena = lora_.Adapts(reader) ? context_.kept : context_.scratch;
  tape->context = arena->Take(static_cast<size_t>(shape.queries->rows()) * inner);
  tape->probabilities_place = context_.NextPlace(context_.model_rate());
  model_->backend_->pool.Run(shape.queries->count() * config().num_heads, [&](int task) {
    Head head = HeadOf(shape, *tape, task);
    head.args.out = {tape->context + head.query * inner + head.column, inner};
    kernels::AttendOnce(kernels(), model_->layout_, head.k, head.v, head.args);
  });
}

float* GradientPass::SelfAttention(const GradientT5::Block& block, const Sequences& rows,
                                   LayerBias bias, bool causal, float* x, AttentionTape* tape) {
  const int d = config().d_model;
  const int inner = config().inner_dim();
  const auto n = static_cast<size_t>(rows.rows());
  tape->x = x;
  float* const next = NextResidual(x, rows.rows());
  tape->projected = context_.kept->Take(n * 3 * inner);
  const kernels::Arena::Mark mark = context_.scratch->mark();
  float* const normed = context_.scratch->Take(n * d);
  Norm(block.weights->self_norm, x, rows.rows(), normed);
  cpu::Forward(&context_, block.self_qkv, {normed, d}, rows, {tape->projected, 3 * inner}, false,
               &tape->in);
  Attend(SelfShape(bias, rows, causal, *tape), block.self_o, tape);
  AddToResidual(block.self_o, {tape->context, inner}, rows, next, &tape->out,
                &tape->residual_place);
  context_.scratch->Rewind(mark);
  return next;
}

float* GradientPass::CrossAttention(const GradientT5::Block& block, float* x, AttentionTape* tape) {
  const int d = config().d_model;
  const int inner = config().inner_dim();
  const Sequences& rows = batch_.targets;
  const auto n = static_cast<size_t>(rows.rows());
  tape->x = x;
  float* const next = NextResidual(x, rows.rows());
  tape->projected = context_.kept->Take(n * inner);
  tape->keys_values = context_.kept->Take(static_cast<size_t>(batch_.sources.rows()) * 2 * inner);
  const kernels::Arena::Mark mark = context_.scratch->mark();
  float* const normed = context_.scratch->Take(n * d);
  Norm(block.weights->cross_norm, x, rows.rows(), normed);
  cpu::Forward(&context_, block.cross_q, {normed, d}, rows, {tape->projected, inner}, false,
               &tape->in);
  cpu::Forward(&context_, block.cross_kv, {encoder_end_.hidden, d}, batch_.sources,
               {tape->keys_values, 2 * inner}, false, &tape->kv);
  Attend(CrossShape(*tape), block.cross_o, tape);
  AddToResidual(block.cross_o, {tape->context, inner}, rows, next, &tape->out,
                &tape->residual_place);
  context_.scratch->Rewind(mark);
  return next;
}

int GradientPass::FeedForwardStep(const GradientT5::Block& block, int rows) const {
  // Still in the cache when they are used; what is summed or dropped by sequence goes whole.
  constexpr int kRows = 4 * kernels::kMaxGemmRows;
  const bool whole = context_.model_rate() > 0 || lora_.Adapts(block.wi) || lora_.Adapts(block.wo);
  return whole ? rows : std::min(rows, kRows);
}

void GradientPass::Activate(const float* hidden, int count, float* inner) const {
  const auto ff = static_cast<size_t>(config().d_ff);
  const size_t wide = config().gated ? 2 * ff : ff;
  const int n = config().d_ff;
  model_->backend_->ForRows(count, [&](int first, int rows) {
    for (int i = first; i < first + rows; ++i) {
      const float* const row = hidden + i * wide;
      float* const out = inner + i * ff;
      if (config().gated) {
        kernels().activate_gated(activation_, row, row + ff, n, out);
      } else {
        std::memcpy(out, row, ff * sizeof(float));
        kernels().activate(activation_, out, n);
      }
    }
  });
}

float* GradientPass::FeedForward(const GradientT5::Block& block, const Sequences& rows, float* x,
                                 FeedForwardTape* tape) {
  const auto d = static_cast<size_t>(config().d_model);
  const auto ff = static_cast<size_t>(config().d_ff);
  const auto wide = static_cast<size_t>(block.wi.out());
  const int step = FeedForwardStep(block, rows.rows());
  tape->x = x;
  float* const next = NextResidual(x, rows.rows());
  if (gradients_) tape->hidden = context_.kept->Take(rows.rows() * wide);
  const kernels::Arena::Mark mark = context_.scratch->mark();
  float* const normed = context_.scratch->Take(step * d);
  float* const inner = context_.scratch->Take(step * ff);
  float* const reused = gradients_ ? nullptr : context_.scratch->Take(step * wide);
  const double rate = context_.model_rate();
  for (int start = 0; start < rows.rows(); start += step) {
    const int count = std::min(step, rows.rows() - start);
    const Sequences part = step == rows.rows() ? rows : Sequences{{0, count}};
    float* const hidden = gradients_ ? tape->hidden + start * wide : reused;
    Norm(block.weights->ff_norm, x + start * d, count, normed);
    cpu::Forward(&context_, block.wi, {normed, config().d_model}, part, {hidden, block.wi.out()},
                 false, &tape->wi);
    Activate(hidden, count, inner);
    tape->inner_place = context_.NextPlace(rate);
    context_.Drop(rate, tape->inner_place, part, config().d_ff, inner);
    AddToResidual(block.wo, {inner, config().d_ff}, part, next + start * d, &tape->wo,
                  &tape->residual_place);
  }
  context_.scratch->Rewind(mark);
  return next;
}

void GradientPass::End(const std::vector<float>& norm, float* x, const Sequences& rows,
                       EndTape* tape) {
  tape->x = x;
  tape->hidden =
      gradients_ ? context_.kept->Take(static_cast<size_t>(rows.rows()) * config().d_model) : x;
  Norm(norm, x, rows.rows(), tape->hidden);
  tape->place = context_.NextPlace(context_.model_rate());
  context_.Drop(context_.model_rate(), tape->place, rows, config().d_model, tape->hidden);
}

void GradientPass::Forward() {
  const T5Weights& weights = *model_->weights_;
  context_.scratch->Rewind({});  // what a pass that threw has left there
  float* x = Embed(batch_.source_tokens, batch_.sources);
  for (size_t i = 0; i < encoder_.size(); ++i) {
    const kernels::Arena::Mark mark = context_.scratch->mark();
    const GradientT5::Block& block = model_->encoder_[i];
    x = SelfAttention(block, batch_.sources, {&weights.encoder_bias, i}, false, x,
                      &encoder_[i].self);
    x = FeedForward(block, batch_.sources, x, &encoder_[i].feed_forward);
    context_.scratch->Rewind(mark);
  }
  End(weights.encoder_norm, x, batch_.sources, &encoder_end_);

  x = Embed(batch_.target_tokens, batch_.targets);
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const kernels::Arena::Mark mark = context_.scratch->mark();
    const GradientT5::Block& block = model_->decoder_[i];
    x = SelfAttention(block, batch_.targets, {&weights.decoder_bias, i}, true, x,
                      &decoder_[i].self);
    x = CrossAttention(block, x, &decoder_[i].cross);
    x = FeedForward(block, batch_.targets, x, &decoder_[i].feed_forward);
    context_.scratch->Rewind(mark);
  }
  End(weights.decoder_norm, x, batch_.targets, &decoder_end_);
  if (!gradients_) {
    // The result alone, out of the scratch that the next pass uses.
    const size_t floats = static_cast<size_t>(target_rows()) * config().d_model;
    float* const result = arena_->Take(floats);
    std::memcpy(result, decoder_end_.hidden, floats * sizeof(float));
    decoder_end_.hidden = result;
  }
  context_.scratch->Rewind({});
}

}  // namespace mellow::nn::cpu
