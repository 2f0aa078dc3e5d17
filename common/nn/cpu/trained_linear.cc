#include "common/nn/cpu/trained_linear.h"

#include <algorithm>

namespace mellow::nn::cpu {
namespace {

using kernels::ConstRows;
using kernels::PackedMatrix;
using kernels::Rows;

// W [out, in] as it lies in memory.
PackedMatrix Pack(CpuBackend* backend, const float* w, int64_t out, int64_t in) {
  return PackedMatrix(
      backend->kernels, static_cast<int>(out), static_cast<int>(in), kernels::PanelFormat::kFloat32,
      [=](int64_t index, float* row) { std::copy_n(w + index * in, in, row); }, &backend->pool);
}

// x itself, or its dropped copy in scratch.
ConstRows Dropped(PassContext* context, ConstRows x, const Sequences& sequences, int width,
                  uint32_t place) {
  if (context->lora_rate() <= 0) return x;
  float* const copy = context->scratch->Take(static_cast<size_t>(sequences.rows()) * width);
  context->backend->ForRows(sequences.rows(), [&](int start, int count) {
    for (int i = start; i < start + count; ++i)
      std::copy_n(x.data + i * x.stride, width, copy + static_cast<size_t>(i) * width);
  });
  context->Drop(context->lora_rate(), place, sequences, width, copy);
  return {copy, width};
}

}  // namespace

PackedLora::PackedLora(CpuBackend* backend, absl::Span<const LinearShape> modules,
                       absl::Span<const LoraTensors> tensors, bool gradients)
    : pairs_(modules.size()) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    const LoraTensors& lora = tensors[i];
    if (lora.a == nullptr) continue;
    Pair& pair = pairs_[i].emplace();
    pair.r = lora.r;
    pair.scaling = lora.scaling;
    pair.a = Pack(backend, lora.a, lora.r, modules[i].in);
    pair.b = Pack(backend, lora.b, modules[i].out, lora.r);
    if (!gradients) continue;
    pair.a.TransposeInto(&pair.a_transposed, &backend->pool);
    pair.b.TransposeInto(&pair.b_transposed, &backend->pool);
  }
}

bool PackedLora::Adapts(const TrainedLinear& layer) const {
  for (size_t i = 0; i < layer.linear->parts().size(); ++i) {
    if (pair(layer.first_module + i) != nullptr) return true;
  }
  return false;
}

void PassContext::Drop(double rate, uint32_t place, const Sequences& rows, int width,
                       float* x) const {
  if (rate <= 0) return;
  backend->pool.Run(rows.count(), [&](int i) {
    dropout->Multiply(rate, place, static_cast<size_t>(i), 0, int64_t{rows.length(i)} * width,
                      x + static_cast<size_t>(rows.offsets[i]) * width);
  });
}

void Forward(PassContext* context, const TrainedLinear& layer, ConstRows x,
             const Sequences& sequences, Rows y, bool accumulate, LinearTape* tape) {
  CpuBackend* const backend = context->backend;
  const int rows = sequences.rows();
  MatMul(backend->kernels, &backend->pool, layer.linear->matrix(), x, rows, y,
         {.accumulate = accumulate});
  tape->parts.resize(layer.linear->parts().size());
  for (size_t i = 0; i < tape->parts.size(); ++i) {
    const PackedLora::Pair* const pair = context->lora->pair(layer.first_module + i);
    if (pair == nullptr) continue;
    const uint32_t place = context->NextPlace(context->lora_rate());
    float* const t = context->kept->Take(static_cast<size_t>(rows) * pair->r);
    const kernels::Arena::Mark mark = context->scratch->mark();
    MatMul(backend->kernels, &backend->pool, pair->a,
           Dropped(context, x, sequences, layer.in(), place), rows, {t, pair->r});
    context->scratch->Rewind(mark);
    backend->kernels.scale(pair->scaling, rows * pair->r, t);
    MatMul(backend->kernels, &backend->pool, pair->b, {t, pair->r}, rows,
           {y.data + layer.linear->parts()[i].column, y.stride}, {.accumulate = true});
    tape->parts[i] = {t, place};
  }
}

// With t = s drop(x) A^T and g = s dy B:  dB = dy^T t;  dA = g^T drop(x);  dx = dy W + drop(g A).
// dA and dB are summed over the sequences as sum_tree.h has it; all else is row by row.
void Backward(PassContext* context, const TrainedLinear& layer, const Sequences& sequences,
              const LinearTape& tape, const LinearGradients& args,
              absl::Span<const LoraGradients> gradients) {
  CpuBackend* const backend = context->backend;
  const kernels::KernelTable& k = backend->kernels;
  const int rows = sequences.rows();
  if (args.dx.data != nullptr) {
    if (!layer.keeps_transposed || layer.transposed->out() == 0)
      layer.linear->matrix().TransposeInto(layer.transposed, &backend->pool);
    MatMul(k, &backend->pool, *layer.transposed, args.dy, rows, args.dx,
           {.accumulate = args.accumulate});
  }
  const kernels::Arena::Mark mark = context->scratch->mark();
  for (size_t i = 0; i < tape.parts.size(); ++i) {
    const size_t module = layer.first_module + i;
    const PackedLora::Pair* const pair = context->lora->pair(module);
    if (pair == nullptr) continue;
    const LinearTape::Part& part = tape.parts[i];
    const LinearPart& place = layer.linear->parts()[i];
    const ConstRows dy = {args.dy.data + place.column, args.dy.stride};
    const int r = pair->r;
    float* const g = context->scratch->Take(static_cast<size_t>(rows) * r);
    MatMul(k, &backend->pool, pair->b_transposed, dy, rows, {g, r});
    k.scale(pair->scaling, rows * r, g);
    MatMulTransposed(k, &backend->pool, dy, place.out, {part.t, r}, r, sequences.offsets,
                     {gradients[module].b, r});
    MatMulTransposed(k, &backend->pool, {g, r}, r,
                     Dropped(context, args.x, sequences, layer.in(), part.place), layer.in(),
                     sequences.offsets, {gradients[module].a, layer.in()});
    if (args.dx.data == nullptr) continue;
    if (context->lora_rate() <= 0) {
      MatMul(k, &backend->pool, pair->a_transposed, {g, r}, rows, args.dx, {.accumulate = true});
      continue;
    }
    const int width = layer.in();
    float* const dropped = context->scratch->Take(static_cast<size_t>(rows) * width);
    MatMul(k, &backend->pool, pair->a_transposed, {g, r}, rows, {dropped, width});
    context->Drop(context->lora_rate(), part.place, sequences, width, dropped);
    backend->ForRows(rows, [&](int start, int count) {
      for (int row = start; row < start + count; ++row)
        k.add(dropped + static_cast<size_t>(row) * width, width,
              args.dx.data + row * args.dx.stride);
    });
  }
  context->scratch->Rewind(mark);
}

}  // namespace mellow::nn::cpu
