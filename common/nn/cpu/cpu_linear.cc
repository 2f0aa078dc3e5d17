#include "common/nn/cpu/cpu_linear.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/nn/lora.h"

namespace mellow::nn::cpu {
namespace {

kernels::PanelFormat ToFormat(WeightType type) {
  switch (type) {
    case WeightType::kFloat32:
      return kernels::PanelFormat::kFloat32;
    case WeightType::kBFloat16:
      return kernels::PanelFormat::kBFloat16;
    case WeightType::kFloat16:
      return kernels::PanelFormat::kFloat16;
    case WeightType::kInt8:
      return kernels::PanelFormat::kInt8;
  }
  return kernels::PanelFormat::kFloat32;
}

// Row `index` of a [rows, in] tensor as fp32.
void ReadRow(const HostTensor& tensor, int64_t index, int in, float* row) {
  const size_t bytes = BytesPerElement(tensor.dtype) * static_cast<size_t>(in);
  const absl::Span<const uint8_t> slice =
      tensor.bytes.subspan(static_cast<size_t>(index) * bytes, bytes);
  if (tensor.dtype == DType::kFloat32) {
    std::memcpy(row, slice.data(), bytes);
    return;
  }
  const std::vector<float> values = HostTensor{tensor.dtype, {in}, slice, nullptr}.ToFloat32();
  std::copy(values.begin(), values.end(), row);
}

kernels::PackedMatrix PackTensor(CpuBackend* backend, const HostTensor& tensor,
                                 kernels::PanelFormat format) {
  const int in = static_cast<int>(tensor.shape[1]);
  return kernels::PackedMatrix(
      backend->kernels, static_cast<int>(tensor.shape[0]), in, format,
      [&](int64_t index, float* row) { ReadRow(tensor, index, in, row); }, &backend->pool);
}

}  // namespace

kernels::Activation ToKernel(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return kernels::Activation::kRelu;
    case Activation::kGeluNew:
      return kernels::Activation::kGeluTanh;
    case Activation::kGelu:
      return kernels::Activation::kGeluErf;
    case Activation::kSilu:
      return kernels::Activation::kSilu;
  }
  return kernels::Activation::kRelu;
}

CpuBackend::CpuBackend(const LoadOptions& options)
    : kernels(kernels::Kernels()), format(ToFormat(options.weights)), pool(options.threads) {}

void CpuBackend::ForRows(int rows, const std::function<void(int, int)>& body) {
  constexpr int kChunk = 16;  // rows of a few hundred to thousand floats: tens of microseconds
  if (rows <= kChunk || pool.size() == 1) return body(0, rows);
  pool.Run((rows + kChunk - 1) / kChunk,
           [&](int i) { body(i * kChunk, std::min(kChunk, rows - i * kChunk)); });
}

CpuLinear::CpuLinear(CpuBackend* backend, TensorReader* reader,
                     const std::vector<std::string>& modules, const std::vector<int>& outs, int in,
                     bool bias) {
  std::vector<const HostTensor*> tensors;
  int total = 0;
  bool complete = true;
  for (size_t i = 0; i < modules.size(); ++i) {
    tensors.push_back(reader->Get(absl::StrCat(modules[i], ".weight"), {outs[i], in}));
    complete = complete && tensors.back() != nullptr;
    if (bias) {
      const std::vector<float> part = reader->Float32(absl::StrCat(modules[i], ".bias"), {outs[i]});
      bias_.insert(bias_.end(), part.begin(), part.end());
    }
    parts_.push_back({modules[i], total, outs[i]});
    total += outs[i];
  }
  if (!complete) return;  // the reader will say what is wrong
  matrix_ = kernels::PackedMatrix(
      backend->kernels, total, in, backend->format,
      [&](int64_t index, float* row) {
        size_t part = parts_.size() - 1;
        while (parts_[part].column > index) --part;
        ReadRow(*tensors[part], index - parts_[part].column, in, row);
      },
      &backend->pool);
}

absl::StatusOr<std::shared_ptr<const CpuAdapter>> CpuAdapter::Create(
    CpuBackend* backend, absl::Span<const CpuLinear* const> linears, const LoraWeights& lora) {
  std::vector<std::string> problems;
  size_t found = 0;
  auto adapter = std::make_shared<CpuAdapter>();
  adapter->backend_ = backend;
  for (const CpuLinear* linear : linears) {
    auto lora_linear = std::make_unique<LoraLinear>();
    std::vector<const HostTensor*> as;
    int rank = 0;
    for (const LinearPart& part : linear->parts()) {
      const auto it = lora.modules.find(part.module);
      if (it == lora.modules.end()) continue;
      ++found;
      const HostTensor& a = it->second.a;
      const HostTensor& b = it->second.b;
      if (a.shape.size() != 2 || b.shape.size() != 2 || a.shape[1] != linear->in() ||
          b.shape[0] != part.out || a.shape[0] != b.shape[1] || a.shape[0] < 1) {
        problems.push_back(absl::StrCat(part.module, ": A ", ShapeString(a.shape), " and B ",
                                        ShapeString(b.shape), " for a layer [", part.out, ", ",
                                        linear->in(), "]"));
        continue;
      }
      lora_linear->outs.push_back(
          {PackTensor(backend, b, kernels::PanelFormat::kFloat32), rank, part.column,
           static_cast<float>(lora.config.ScalingOf(part.module, a.shape[0]))});
      as.push_back(&a);
      rank += static_cast<int>(a.shape[0]);
    }
    if (as.empty()) continue;
    lora_linear->a = kernels::PackedMatrix(
        backend->kernels, rank, linear->in(), kernels::PanelFormat::kFloat32,
        [&](int64_t index, float* row) {
          size_t part = as.size() - 1;
          while (lora_linear->outs[part].rank_offset > index) --part;
          ReadRow(*as[part], index - lora_linear->outs[part].rank_offset, linear->in(), row);
        },
        &backend->pool);
    adapter->linears_[linear] = std::move(lora_linear);
  }
  if (found < lora.modules.size()) {
    for (const auto& [module, pair] : lora.modules) {
      const bool known =
          std::any_of(linears.begin(), linears.end(), [&module = module](const CpuLinear* linear) {
            return std::any_of(linear->parts().begin(), linear->parts().end(),
                               [&](const LinearPart& part) { return part.module == module; });
          });
      if (!known) problems.push_back(absl::StrCat(module, ": no such layer in this model"));
    }
  }
  if (!problems.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the adapter does not fit the model: ", absl::StrJoin(problems, "; ")));
  }
  return adapter;
}

void AppendSpan(const CpuAdapter* adapter, int count, std::vector<AdapterSpan>* spans) {
  if (!spans->empty() && spans->back().adapter == adapter) {
    spans->back().count += count;
    return;
  }
  const int start = spans->empty() ? 0 : spans->back().start + spans->back().count;
  spans->push_back({start, count, adapter});
}

std::vector<AdapterSpan> Slice(absl::Span<const AdapterSpan> spans, int start, int count) {
  std::vector<AdapterSpan> out;
  for (const AdapterSpan& span : spans) {
    const int first = std::max(span.start, start);
    const int last = std::min(span.start + span.count, start + count);
    if (first < last) out.push_back({first - start, last - first, span.adapter});
  }
  return out;
}

void ApplyLinear(CpuBackend* backend, const CpuLinear& linear, kernels::ConstRows x, int rows,
                 absl::Span<const AdapterSpan> spans, kernels::Rows y, bool accumulate) {
  MatMul(backend->kernels, &backend->pool, linear.matrix(), x, rows, y,
         {.bias = linear.bias(), .accumulate = accumulate});
  static thread_local kernels::FloatBuffer buffer;
  for (const AdapterSpan& span : spans) {
    const LoraLinear* lora = span.adapter == nullptr ? nullptr : span.adapter->Find(&linear);
    if (lora == nullptr) continue;
    const int rank = lora->a.out();
    float* const t = buffer.Reserve(static_cast<size_t>(span.count) * rank);
    MatMul(backend->kernels, &backend->pool, lora->a, {x.data + span.start * x.stride, x.stride},
           span.count, {t, rank});
    for (const LoraLinear::Out& out : lora->outs) {
      for (int row = 0; row < span.count; ++row)
        backend->kernels.scale(out.scaling, out.b.in(), t + row * rank + out.rank_offset);
      MatMul(backend->kernels, &backend->pool, out.b, {t + out.rank_offset, rank}, span.count,
             {y.data + span.start * y.stride + out.column, y.stride}, {.accumulate = true});
    }
  }
}

}  // namespace mellow::nn::cpu
