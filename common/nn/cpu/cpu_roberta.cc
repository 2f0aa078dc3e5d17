#include "common/nn/cpu/cpu_roberta.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"

namespace mellow::nn::cpu {
namespace {

constexpr int kClassifierPassTokens = 2048;  // bounds the activations
constexpr int kClassifierFeedForwardRows =
    4 * kernels::kMaxGemmRows;  // still in the cache when they are used

class RobertaLoader {
 public:
  RobertaLoader(CpuBackend* backend, const RobertaConfig& config, const TensorMap& tensors)
      : backend_(backend), config_(config), reader_(tensors) {}

  std::unique_ptr<RobertaWeights> Load();
  absl::Status Finish() const { return reader_.Finish(); }

 private:
  std::vector<float> Table(const std::string& name, std::vector<int64_t> shape) {
    std::vector<float> values = reader_.Float32(name, std::move(shape));
    parameters_ += static_cast<int64_t>(values.size());
    return values;
  }
  LayerNormWeights Norm(const std::string& module) {
    return {Table(absl::StrCat(module, ".weight"), {config_.hidden_size}),
            Table(absl::StrCat(module, ".bias"), {config_.hidden_size})};
  }
  CpuLinear Linear(const std::vector<std::string>& modules, int out, int in) {
    CpuLinear linear(backend_, &reader_, modules, std::vector<int>(modules.size(), out), in,
                     /*bias=*/true);
    parameters_ += linear.parameters();
    return linear;
  }

  CpuBackend* backend_;
  const RobertaConfig& config_;
  TensorReader reader_;
  int64_t parameters_ = 0;
};

std::unique_ptr<RobertaWeights> RobertaLoader::Load() {
  auto weights = std::make_unique<RobertaWeights>();
  weights->config = config_;
  weights->activation = ToKernel(config_.hidden_act);
  const int d = config_.hidden_size;
  const std::string embeddings = "roberta.embeddings.";
  weights->words = Table(embeddings + "word_embeddings.weight", {config_.vocab_size, d});
  weights->positions =
      Table(embeddings + "position_embeddings.weight", {config_.max_position_embeddings, d});
  const std::vector<float> types =
      Table(embeddings + "token_type_embeddings.weight", {config_.type_vocab_size, d});
  for (size_t i = 0; i < weights->positions.size(); ++i) weights->positions[i] += types[i % d];
  weights->embedding_norm = Norm(embeddings + "LayerNorm");
  weights->layers.resize(config_.num_hidden_layers);
  for (int i = 0; i < config_.num_hidden_layers; ++i) {
    const std::string prefix = absl::StrCat("roberta.encoder.layer.", i, ".");
    const std::string self = prefix + "attention.self.";
    RobertaLayer& layer = weights->layers[i];
    layer.qkv = Linear({self + "query", self + "key", self + "value"}, d, d);
    layer.attention_out = Linear({prefix + "attention.output.dense"}, d, d);
    layer.attention_norm = Norm(prefix + "attention.output.LayerNorm");
    layer.intermediate = Linear({prefix + "intermediate.dense"}, config_.intermediate_size, d);
    layer.output = Linear({prefix + "output.dense"}, d, config_.intermediate_size);
    layer.output_norm = Norm(prefix + "output.LayerNorm");
  }
  weights->head_dense = Linear({"classifier.dense"}, d, d);
  weights->head_out = Linear({"classifier.out_proj"}, static_cast<int>(config_.labels.size()), d);
  weights->parameters = parameters_;
  return weights;
}

}  // namespace

CpuRoberta::CpuRoberta(std::unique_ptr<CpuBackend> backend, std::unique_ptr<RobertaWeights> weights)
    : backend_(std::move(backend)),
      weights_(std::move(weights)),
      layout_(backend_->kernels,
              weights_->config.hidden_size / weights_->config.num_attention_heads) {}

absl::StatusOr<std::unique_ptr<CpuRoberta>> CpuRoberta::Load(const std::string& folder,
                                                             const LoadOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const PretrainedRoberta model, ReadPretrainedRoberta(folder));
  auto backend = std::make_unique<CpuBackend>(options);
  RobertaLoader loader(backend.get(), model.config, model.tensors);
  std::unique_ptr<RobertaWeights> weights = loader.Load();
  if (absl::Status status = loader.Finish(); !status.ok()) return Annotate(status, folder);
  return std::unique_ptr<CpuRoberta>(new CpuRoberta(std::move(backend), std::move(weights)));
}

absl::StatusOr<std::vector<std::vector<float>>> CpuRoberta::Classify(
    absl::Span<const std::vector<int32_t>> sequences) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<int32_t>& ids = sequences[i];
    if (ids.empty()) return absl::InvalidArgumentError(absl::StrCat("sequence ", i, " is empty"));
    if (static_cast<int64_t>(ids.size()) > config().max_tokens()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sequence ", i, " has ", ids.size(), " tokens, the model takes ", config().max_tokens()));
    }
    for (int32_t id : ids) {
      if (id < 0 || id >= config().vocab_size) {
        return absl::InvalidArgumentError(absl::StrCat(
            "sequence ", i, ": id ", id, ", the vocabulary has ", config().vocab_size));
      }
    }
  }
  std::vector<std::vector<float>> out(sequences.size());
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  MutexLock lock(&mutex_);
  for (size_t first = 0; first < order.size();) {
    size_t count = 1;
    size_t total = sequences[first].size();
    while (first + count < order.size() &&
           total + sequences[first + count].size() <= kClassifierPassTokens) {
      total += sequences[first + count++].size();
    }
    Pass(sequences, absl::MakeSpan(order).subspan(first, count), &out);
    first += count;
  }
  return out;
}

void CpuRoberta::Embed(const std::vector<int32_t>& ids, float* x) const {
  const auto d = static_cast<size_t>(config().hidden_size);
  const int32_t pad = config().pad_token_id;
  int32_t position = pad;
  for (size_t i = 0; i < ids.size(); ++i) {
    // As transformers: positions count the tokens that are not padding, from pad + 1 on.
    const int32_t index = ids[i] == pad ? pad : ++position;
    std::memcpy(x + i * d, weights_->words.data() + ids[i] * d, d * sizeof(float));
    backend_->kernels.add(weights_->positions.data() + index * d, static_cast<int>(d), x + i * d);
  }
}

void CpuRoberta::Norm(const LayerNormWeights& norm, int rows, float* x) {
  const int d = config().hidden_size;
  const auto eps = static_cast<float>(config().layer_norm_eps);
  backend_->ForRows(rows, [&](int start, int count) {
    for (int i = start; i < start + count; ++i) {
      float* const row = x + static_cast<size_t>(i) * d;
      backend_->kernels.layer_norm(row, norm.weight.data(), norm.bias.data(), eps, d, row);
    }
  });
}

void CpuRoberta::Layer(const RobertaLayer& layer, absl::Span<const int> offsets, float* x) {
  const int d = config().hidden_size;
  const int heads = config().num_attention_heads;
  const int head_dim = d / heads;
  const int rows = offsets.back();
  const int stride = 3 * d;
  float* const qkv = scratch_.qkv.Reserve(static_cast<size_t>(rows) * stride);
  float* const context = scratch_.context.Reserve(static_cast<size_t>(rows) * d);
  ApplyLinear(backend_.get(), layer.qkv, {x, d}, rows, {}, {qkv, stride});
  backend_->pool.Run(static_cast<int>(offsets.size() - 1) * heads, [&](int task) {
    const int i = task / heads;
    const int head = task % heads;
    const float* q = qkv + static_cast<size_t>(offsets[i]) * stride + head * head_dim;
    kernels::AttentionArgs args;
    args.q = {q, stride};
    args.queries = args.keys = offsets[i + 1] - offsets[i];
    args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    args.out = {context + static_cast<size_t>(offsets[i]) * d + head * head_dim, d};
    kernels::AttendOnce(backend_->kernels, layout_, {q + d, stride}, {q + 2 * d, stride}, args);
  });
  ApplyLinear(backend_.get(), layer.attention_out, {context, d}, rows, {}, {x, d},
              /*accumulate=*/true);
  Norm(layer.attention_norm, rows, x);

  const int wide = config().intermediate_size;
  const int most = std::min(rows, kClassifierFeedForwardRows);
  float* const hidden = scratch_.hidden.Reserve(static_cast<size_t>(most) * wide);
  for (int start = 0; start < rows; start += most) {
    const int count = std::min(most, rows - start);
    float* const part = x + static_cast<size_t>(start) * d;
    ApplyLinear(backend_.get(), layer.intermediate, {part, d}, count, {}, {hidden, wide});
    backend_->ForRows(count, [&](int first, int n) {
      backend_->kernels.activate(weights_->activation, hidden + static_cast<size_t>(first) * wide,
                                 n * wide);
    });
    ApplyLinear(backend_.get(), layer.output, {hidden, wide}, count, {}, {part, d},
                /*accumulate=*/true);
    Norm(layer.output_norm, count, part);
  }
}

void CpuRoberta::Pass(absl::Span<const std::vector<int32_t>> sequences,
                      absl::Span<const size_t> order, std::vector<std::vector<float>>* out) {
  const auto d = static_cast<size_t>(config().hidden_size);
  std::vector<int> offsets = {0};
  for (size_t i : order) offsets.push_back(offsets.back() + static_cast<int>(sequences[i].size()));
  const int rows = offsets.back();
  const int count = static_cast<int>(order.size());
  float* const x = scratch_.x.Reserve(rows * d);
  for (int i = 0; i < count; ++i) Embed(sequences[order[i]], x + offsets[i] * d);
  Norm(weights_->embedding_norm, rows, x);
  for (const RobertaLayer& layer : weights_->layers) Layer(layer, offsets, x);

  // The head looks at <s>.
  float* const first = scratch_.first.Reserve(count * d);
  float* const dense = scratch_.dense.Reserve(count * d);
  for (int i = 0; i < count; ++i) std::memcpy(first + i * d, x + offsets[i] * d, d * sizeof(float));
  const auto stride = static_cast<ptrdiff_t>(d);
  ApplyLinear(backend_.get(), weights_->head_dense, {first, stride}, count, {}, {dense, stride});
  for (size_t i = 0; i < count * d; ++i) dense[i] = std::tanh(dense[i]);
  const int labels = weights_->head_out.out();
  std::vector<float> logits(static_cast<size_t>(count) * labels);
  ApplyLinear(backend_.get(), weights_->head_out, {dense, stride}, count, {},
              {logits.data(), labels});
  for (int i = 0; i < count; ++i) {
    (*out)[order[i]].assign(logits.begin() + i * labels, logits.begin() + (i + 1) * labels);
  }
}

}  // namespace mellow::nn::cpu
