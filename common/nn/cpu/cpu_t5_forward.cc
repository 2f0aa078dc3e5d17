// The forward passes of CpuT5: encoder, teacher-forced decoder, one decoding step.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/cpu/cpu_t5.h"
#include "common/nn/cpu/cpu_t5_row.h"

namespace mellow::nn::cpu {
namespace {

// Rows whose feed-forward activations are computed together, so that they are still in the cache
// when they are used.
constexpr int kFeedForwardRows = 4 * kernels::kMaxGemmRows;

}  // namespace

void CpuT5::Embed(absl::Span<const int32_t> tokens, float* x) const {
  const auto d = static_cast<size_t>(config().d_model);
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::memcpy(x + i * d, weights_->embedding.data() + tokens[i] * d, d * sizeof(float));
  }
}

void CpuT5::Norm(const std::vector<float>& weight, const float* x, int rows, float* y) {
  const int d = config().d_model;
  const auto eps = static_cast<float>(config().layer_norm_epsilon);
  backend_->ForRows(rows, [&](int start, int count) {
    for (int i = start; i < start + count; ++i) {
      const size_t row = static_cast<size_t>(i) * d;
      backend_->kernels.rms_norm(x + row, weight.data(), eps, d, y + row);
    }
  });
}

void CpuT5::ScaleForHead(int rows, float* x) {
  const T5Config& c = config();
  if (!c.scale_decoder_outputs) return;
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.d_model)));
  for (int i = 0; i < rows; ++i)
    backend_->kernels.scale(factor, c.d_model, x + static_cast<size_t>(i) * c.d_model);
}

void CpuT5::FeedForward(const T5Block& block, int rows, absl::Span<const AdapterSpan> spans,
                        float* x) {
  const T5Config& c = config();
  const int d = c.d_model;
  const int wide = block.wi.out();
  const kernels::Activation activation = ToKernel(c.activation);
  const int most = std::min(rows, kFeedForwardRows);
  float* const normed = scratch_.normed.Reserve(static_cast<size_t>(most) * d);
  float* const hidden = scratch_.hidden.Reserve(static_cast<size_t>(most) * wide);
  float* const gated =
      c.gated ? scratch_.gated.Reserve(static_cast<size_t>(most) * c.d_ff) : hidden;
  for (int start = 0; start < rows; start += most) {
    const int count = std::min(most, rows - start);
    float* const part = x + static_cast<size_t>(start) * d;
    const std::vector<AdapterSpan> slice = Slice(spans, start, count);
    Norm(block.ff_norm, part, count, normed);
    ApplyLinear(backend_.get(), block.wi, {normed, d}, count, slice, {hidden, wide});
    backend_->ForRows(count, [&](int first, int n) {
      for (int i = first; i < first + n; ++i) {
        float* const row = hidden + static_cast<size_t>(i) * wide;
        if (c.gated) {
          backend_->kernels.activate_gated(activation, row, row + c.d_ff, c.d_ff,
                                           gated + static_cast<size_t>(i) * c.d_ff);
        } else {
          backend_->kernels.activate(activation, row, c.d_ff);
        }
      }
    });
    ApplyLinear(backend_.get(), block.wo, {gated, c.d_ff}, count, slice, {part, d},
                /*accumulate=*/true);
  }
}

absl::Status CpuT5::RunEncoder(const Pass& pass, const Ragged& source) {
  const T5Config& c = config();
  const int d = c.d_model;
  const int inner = c.inner_dim();
  const int stride = 3 * inner;
  const int rows = source.rows();
  int longest = 0;
  for (int i = 0; i < source.sequences(); ++i) {
    const absl::Span<const int32_t> positions = source.positions[i];
    longest = std::max(longest, positions.empty() ? source.length(i) : positions.back() + 1);
  }
  weights_->encoder_bias.Reserve(longest);

  float* const x = pass.kept->encoded.Reserve(static_cast<size_t>(rows) * d);
  float* const qkv = pass.kept->projected.Reserve(static_cast<size_t>(rows) * stride);
  Embed(source.tokens, x);
  for (size_t layer = 0; layer < weights_->encoder.size(); ++layer) {
    const T5Block& block = weights_->encoder[layer];
    MELLOW_RETURN_IF_ERROR(InPieces(pass, rows, [&](int start, int count) {
      float* const normed = scratch_.normed.Reserve(static_cast<size_t>(count) * d);
      Norm(block.self_norm, x + static_cast<size_t>(start) * d, count, normed);
      ApplyLinear(backend_.get(), block.self_qkv, {normed, d}, count,
                  Slice(source.spans, start, count),
                  {qkv + static_cast<size_t>(start) * stride, stride});
    }));
    MELLOW_RETURN_IF_ERROR(InPieces(pass, rows, [&](int start, int count) {
      float* const context = scratch_.context.Reserve(static_cast<size_t>(count) * inner);
      const std::vector<Part> parts = Parts(source, start, count);
      const std::vector<AdapterSpan> spans = Slice(source.spans, start, count);
      backend_->pool.Run(static_cast<int>(parts.size()) * c.num_heads, [&](int task) {
        const Part& part = parts[task / c.num_heads];
        const int head = task % c.num_heads;
        const int begin = source.offsets[part.sequence];
        const float* const first = qkv + static_cast<size_t>(begin) * stride + head * c.d_kv;
        const int row = begin + part.first - start;
        kernels::AttentionArgs args;
        args.q = {first + static_cast<size_t>(part.first) * stride, stride};
        args.queries = part.count;
        args.first_query = part.first;
        args.keys = source.length(part.sequence);
        args.bias = weights_->encoder_bias.Center(layer, head);
        const absl::Span<const int32_t> positions = source.positions[part.sequence];
        if (!positions.empty()) args.positions = positions.data();
        args.out = {context + static_cast<size_t>(row) * inner + head * c.d_kv, inner};
        kernels::AttendOnce(backend_->kernels, layout_, {first + inner, stride},
                            {first + 2 * inner, stride}, args);
      });
      float* const here = x + static_cast<size_t>(start) * d;
      ApplyLinear(backend_.get(), block.self_o, {context, inner}, count, spans, {here, d},
                  /*accumulate=*/true);
      FeedForward(block, count, spans, here);
    }));
  }
  Norm(weights_->encoder_norm, x, rows, x);
  return absl::OkStatus();
}

absl::Status CpuT5::RunDecoder(const Pass& pass, const Ragged& source, const Ragged& target) {
  const T5Config& c = config();
  const int d = c.d_model;
  const int inner = c.inner_dim();
  const int rows = target.rows();
  int longest = 0;
  for (int i = 0; i < target.sequences(); ++i) longest = std::max(longest, target.length(i));
  weights_->decoder_bias.Reserve(longest);

  const int stride = 3 * inner;
  const float* const encoded = pass.kept->encoded.data();
  float* const x = pass.kept->x.Reserve(static_cast<size_t>(rows) * d);
  float* const qkv = pass.kept->projected.Reserve(static_cast<size_t>(rows) * stride);
  float* const kv = pass.kept->keys_values.Reserve(static_cast<size_t>(source.rows()) * 2 * inner);
  Embed(target.tokens, x);
  for (size_t layer = 0; layer < weights_->decoder.size(); ++layer) {
    const T5Block& block = weights_->decoder[layer];
    MELLOW_RETURN_IF_ERROR(InPieces(pass, rows, [&](int start, int count) {
      float* const normed = scratch_.normed.Reserve(static_cast<size_t>(count) * d);
      Norm(block.self_norm, x + static_cast<size_t>(start) * d, count, normed);
      ApplyLinear(backend_.get(), block.self_qkv, {normed, d}, count,
                  Slice(target.spans, start, count),
                  {qkv + static_cast<size_t>(start) * stride, stride});
    }));
    MELLOW_RETURN_IF_ERROR(InPieces(pass, source.rows(), [&](int start, int count) {
      ApplyLinear(backend_.get(), block.cross_kv, {encoded + static_cast<size_t>(start) * d, d},
                  count, Slice(source.spans, start, count),
                  {kv + static_cast<size_t>(start) * 2 * inner, 2 * inner});
    }));
    MELLOW_RETURN_IF_ERROR(InPieces(pass, rows, [&](int start, int count) {
      float* const here = x + static_cast<size_t>(start) * d;
      float* const normed = scratch_.normed.Reserve(static_cast<size_t>(count) * d);
      float* const cross_q = scratch_.projected.Reserve(static_cast<size_t>(count) * inner);
      float* const context = scratch_.context.Reserve(static_cast<size_t>(count) * inner);
      const std::vector<Part> parts = Parts(target, start, count);
      const std::vector<AdapterSpan> spans = Slice(target.spans, start, count);
      const int tasks = static_cast<int>(parts.size()) * c.num_heads;
      backend_->pool.Run(tasks, [&](int task) {
        const Part& part = parts[task / c.num_heads];
        const int head = task % c.num_heads;
        const int begin = target.offsets[part.sequence];
        const float* const first = qkv + static_cast<size_t>(begin) * stride + head * c.d_kv;
        const int row = begin + part.first - start;
        kernels::AttentionArgs args;
        args.q = {first + static_cast<size_t>(part.first) * stride, stride};
        args.queries = part.count;
        args.keys = part.first + part.count;
        args.causal = true;
        args.bias = weights_->decoder_bias.Center(layer, head);
        args.out = {context + static_cast<size_t>(row) * inner + head * c.d_kv, inner};
        kernels::AttendOnce(backend_->kernels, layout_, {first + inner, stride},
                            {first + 2 * inner, stride}, args);
      });
      ApplyLinear(backend_.get(), block.self_o, {context, inner}, count, spans, {here, d},
                  /*accumulate=*/true);

      Norm(block.cross_norm, here, count, normed);
      ApplyLinear(backend_.get(), block.cross_q, {normed, d}, count, spans, {cross_q, inner});
      backend_->pool.Run(tasks, [&](int task) {
        const Part& part = parts[task / c.num_heads];
        const int head = task % c.num_heads;
        const float* const k =
            kv + static_cast<size_t>(source.offsets[part.sequence]) * 2 * inner + head * c.d_kv;
        const int row = target.offsets[part.sequence] + part.first - start;
        const size_t first = static_cast<size_t>(row) * inner + head * c.d_kv;
        kernels::AttentionArgs args;
        args.q = {cross_q + first, inner};
        args.queries = part.count;
        args.keys = source.length(part.sequence);
        args.out = {context + first, inner};
        kernels::AttendOnce(backend_->kernels, layout_, {k, 2 * inner}, {k + inner, 2 * inner},
                            args);
      });
      ApplyLinear(backend_.get(), block.cross_o, {context, inner}, count, spans, {here, d},
                  /*accumulate=*/true);
      FeedForward(block, count, spans, here);
    }));
  }
  return absl::OkStatus();
}

absl::Status CpuT5::Step(absl::Span<DecodeRow* const> rows, absl::Span<const int32_t> tokens,
                         std::vector<float>* logits) {
  const T5Config& c = config();
  if (rows.size() != tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(tokens.size(), " tokens for ", rows.size(), " rows"));
  }
  std::vector<CpuT5Row*> states;
  std::vector<AdapterSpan> spans;
  int longest = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto* state = dynamic_cast<CpuT5Row*>(rows[i]);
    if (state == nullptr || state->owner != this)
      return absl::InvalidArgumentError(absl::StrCat("row ", i, " belongs to another model"));
    MELLOW_RETURN_IF_ERROR(CheckIds(tokens.subspan(i, 1), "tokens", i));
    if (state->position() >= state->max_target_tokens) {
      return absl::InvalidArgumentError(absl::StrCat(
          "row ", i, " has taken its max_target_tokens = ", state->max_target_tokens, " steps"));
    }
    longest = std::max(longest, state->position() + 1);
    states.push_back(state);
    AppendSpan(state->adapter, 1, &spans);
  }
  const int n = static_cast<int>(rows.size());
  logits->resize(static_cast<size_t>(n) * c.vocab_size);
  if (n == 0) return absl::OkStatus();

  MutexLock lock(&mutex_);
  const int d = c.d_model;
  const int inner = c.inner_dim();
  weights_->decoder_bias.Reserve(longest);
  for (CpuT5Row* state : states) state->self.Reserve(1);
  float* const x = scratch_.x.Reserve(static_cast<size_t>(n) * d);
  Embed(tokens, x);
  for (int layer = 0; layer < c.num_decoder_layers; ++layer) {
    const T5Block& block = weights_->decoder[layer];
    float* const normed = scratch_.normed.Reserve(static_cast<size_t>(n) * d);
    float* const projected = scratch_.projected.Reserve(static_cast<size_t>(n) * 3 * inner);
    float* const context = scratch_.context.Reserve(static_cast<size_t>(n) * inner);
    Norm(block.self_norm, x, n, normed);
    ApplyLinear(backend_.get(), block.self_qkv, {normed, d}, n, spans, {projected, 3 * inner});
    backend_->pool.Run(n * c.num_heads, [&](int task) {
      const int i = task / c.num_heads;
      const int head = task % c.num_heads;
      CpuT5Row& state = *states[i];
      const float* q = projected + static_cast<size_t>(i) * 3 * inner + head * c.d_kv;
      state.self.Write(layer, head, {q + inner, 0}, {q + 2 * inner, 0}, state.position(), 1);
      kernels::AttentionArgs args;
      args.q = {q, 0};
      args.queries = 1;
      args.keys = state.position() + 1;
      args.causal = true;
      args.bias = weights_->decoder_bias.Center(layer, head);
      args.out = {context + static_cast<size_t>(i) * inner + head * c.d_kv, inner};
      kernels::Attend(backend_->kernels, layout_, state.self, layer, head, args);
    });
    ApplyLinear(backend_.get(), block.self_o, {context, inner}, n, spans, {x, d},
                /*accumulate=*/true);

    Norm(block.cross_norm, x, n, normed);
    ApplyLinear(backend_.get(), block.cross_q, {normed, d}, n, spans, {projected, inner});
    backend_->pool.Run(n * c.num_heads, [&](int task) {
      const int i = task / c.num_heads;
      const int head = task % c.num_heads;
      const size_t first = static_cast<size_t>(i) * inner + head * c.d_kv;
      kernels::AttentionArgs args;
      args.q = {projected + first, 0};
      args.queries = 1;
      args.keys = states[i]->cross->size();
      args.out = {context + first, inner};
      kernels::Attend(backend_->kernels, layout_, *states[i]->cross, layer, head, args);
    });
    ApplyLinear(backend_.get(), block.cross_o, {context, inner}, n, spans, {x, d},
                /*accumulate=*/true);
    FeedForward(block, n, spans, x);
  }
  float* const input = scratch_.normed.Reserve(static_cast<size_t>(n) * d);
  Norm(weights_->decoder_norm, x, n, input);
  for (int i = 0; i < n; ++i) {
    const ValueHead* const head = states[i]->value_head;
    if (head == nullptr) continue;
    states[i]->set_value(
        ValueOf(head->weight.data(), head->bias, input + static_cast<size_t>(i) * d, d));
  }
  ScaleForHead(n, input);
  ApplyLinear(backend_.get(), weights_->lm_head, {input, d}, n, spans,
              {logits->data(), c.vocab_size});
  for (CpuT5Row* state : states) state->self.Advance(1);
  return absl::OkStatus();
}

}  // namespace mellow::nn::cpu
