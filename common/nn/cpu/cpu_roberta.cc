#include "common/nn/cpu/cpu_roberta.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"

namespace mellow::nn::cpu {
namespace {

// Tokens of a pass with all threads, and of one of several side by side: most of what that one
// computes with then stays in the second-level cache of its core.
constexpr int64_t kAllPassTokens = 2048;
constexpr int64_t kLanePassTokens = 512;
constexpr int kFeedForwardRowsOfThread = kernels::kMaxGemmRows;  // for the same reason

using Sequences = absl::Span<const std::vector<int32_t>>;

int64_t Tokens(Sequences sequences) {
  int64_t tokens = 0;
  for (const std::vector<int32_t>& ids : sequences) tokens += static_cast<int64_t>(ids.size());
  return tokens;
}

struct Plan {
  std::vector<size_t> begins;  // of each pass, and the end of the last
  bool side_by_side = false;   // every thread its own passes, or all threads one pass at a time

  size_t size() const { return begins.size() - 1; }
  Sequences Of(Sequences sequences, size_t pass) const {
    return sequences.subspan(begins[pass], begins[pass + 1] - begins[pass]);
  }
};

// At most so many passes, of about equally many tokens.
Plan Parts(Sequences sequences, int64_t passes, bool side_by_side) {
  const int64_t total = Tokens(sequences);
  Plan plan{{0}, side_by_side};
  int64_t tokens = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    tokens += static_cast<int64_t>(sequences[i].size());
    if (tokens * passes >= total * static_cast<int64_t>(plan.begins.size()))
      plan.begins.push_back(i + 1);
  }
  return plan;
}

Plan PlanPasses(Sequences sequences, int threads) {
  const int64_t total = Tokens(sequences);
  const int64_t rounds = (total + kLanePassTokens * threads - 1) / (kLanePassTokens * threads);
  Plan plan = Parts(sequences, rounds * threads, /*side_by_side=*/true);
  int64_t longest = 0;
  for (size_t i = 0; i < plan.size(); ++i)
    longest = std::max(longest, Tokens(plan.Of(sequences, i)));
  // Until the last thread is done, times the threads: two bounds. A third of it may be idle.
  const int64_t turns = (static_cast<int64_t>(plan.size()) + threads - 1) / threads;
  const int64_t time = std::min(longest * turns * threads, total + longest * (threads - 1));
  if (2 * time <= 3 * total) return plan;
  return Parts(sequences, (total + kAllPassTokens - 1) / kAllPassTokens, /*side_by_side=*/false);
}

// The fewest heads that are whole panels of each of q, k and v, or 0.
int HeadsOfWholePanels(int heads, int head_dim, int panel_width) {
  if (heads * head_dim % panel_width != 0) return 0;
  int count = 1;
  while (heads % count != 0 || count * head_dim % panel_width != 0) ++count;
  return count;
}

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

CpuRoberta::CpuRoberta(std::unique_ptr<Lane> all, std::unique_ptr<RobertaWeights> weights,
                       const LoadOptions& options)
    : weights_(std::move(weights)),
      all_(std::move(all)),
      layout_(all_->backend.kernels,
              weights_->config.hidden_size / weights_->config.num_attention_heads) {
  LoadOptions alone = options;
  alone.threads = 1;
  for (int i = 0; i < all_->backend.pool.size(); ++i)
    lanes_.push_back(std::make_unique<Lane>(alone));
}

absl::StatusOr<std::unique_ptr<CpuRoberta>> CpuRoberta::Load(const std::string& folder,
                                                             const LoadOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const PretrainedRoberta model, ReadPretrainedRoberta(folder));
  auto all = std::make_unique<Lane>(options);
  RobertaLoader loader(&all->backend, model.config, model.tensors);
  std::unique_ptr<RobertaWeights> weights = loader.Load();
  if (absl::Status status = loader.Finish(); !status.ok()) return Annotate(status, folder);
  return std::unique_ptr<CpuRoberta>(new CpuRoberta(std::move(all), std::move(weights), options));
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
  MutexLock lock(&mutex_);
  const int threads = all_->backend.pool.size();
  const Plan plan = PlanPasses(sequences, threads);
  const auto pass = [&](size_t i, Lane* lane) {
    Pass(plan.Of(sequences, i), lane, out.data() + plan.begins[i]);
  };
  if (plan.side_by_side) {
    std::atomic<size_t> next = 0;
    all_->backend.pool.Run(threads, [&](int thread) {
      for (size_t i; (i = next++) < plan.size();) pass(i, lanes_[thread].get());
    });
  } else {
    for (size_t i = 0; i < plan.size(); ++i) pass(i, all_.get());
  }
  return out;
}

void CpuRoberta::Embed(const std::vector<int32_t>& ids, const Lane& lane, float* x) const {
  const auto d = static_cast<size_t>(config().hidden_size);
  const int32_t pad = config().pad_token_id;
  int32_t position = pad;
  for (size_t i = 0; i < ids.size(); ++i) {
    // As transformers: positions count the tokens that are not padding, from pad + 1 on.
    const int32_t index = ids[i] == pad ? pad : ++position;
    std::memcpy(x + i * d, weights_->words.data() + ids[i] * d, d * sizeof(float));
    lane.backend.kernels.add(weights_->positions.data() + index * d, static_cast<int>(d),
                             x + i * d);
  }
}

void CpuRoberta::Norm(const LayerNormWeights& norm, int rows, Lane* lane, float* x) const {
  const int d = config().hidden_size;
  const auto eps = static_cast<float>(config().layer_norm_eps);
  lane->backend.ForRows(rows, [&](int start, int count) {
    for (int i = start; i < start + count; ++i) {
      float* const row = x + static_cast<size_t>(i) * d;
      lane->backend.kernels.layer_norm(row, norm.weight.data(), norm.bias.data(), eps, d, row);
    }
  });
}

void CpuRoberta::AttendHead(const Lane& lane, const float* q, ptrdiff_t k, ptrdiff_t stride,
                            int rows, float* context) const {
  const int d = config().hidden_size;
  kernels::AttentionArgs args;
  args.q = {q, stride};
  args.queries = args.keys = rows;
  args.scale = 1.0f / std::sqrt(static_cast<float>(layout_.head_dim()));
  args.out = {context, d};
  kernels::AttendOnce(lane.backend.kernels, layout_, {q + k, stride}, {q + 2 * k, stride}, args);
}

void CpuRoberta::Attention(const RobertaLayer& layer, absl::Span<const int> offsets, Lane* lane,
                           const float* x, float* context) const {
  CpuBackend* const backend = &lane->backend;
  const kernels::KernelTable& kernels = backend->kernels;
  const kernels::PackedMatrix& matrix = layer.qkv.matrix();
  const int d = config().hidden_size;
  const int head_dim = layout_.head_dim();
  const int heads = d / head_dim;
  const int sequences = static_cast<int>(offsets.size()) - 1;
  const int group = HeadsOfWholePanels(heads, head_dim, kernels.panel_width);
  if (backend->pool.size() > 1 || group == 0) {
    const int stride = 3 * d;
    float* const qkv = lane->qkv.Reserve(static_cast<size_t>(offsets.back()) * stride);
    ApplyLinear(backend, layer.qkv, {x, d}, offsets.back(), {}, {qkv, stride});
    backend->pool.Run(sequences * heads, [&](int task) {
      const int sequence = task / heads;
      const int column = task % heads * head_dim;
      const auto first = static_cast<size_t>(offsets[sequence]);
      AttendHead(*lane, qkv + first * stride + column, d, stride,
                 offsets[sequence + 1] - offsets[sequence], context + first * d + column);
    });
    return;
  }
  // By one thread, q, k and v of a few heads and sequences at a time: attention then finds them in
  // the cache. At least so many rows at a time that the weights are read for something.
  const kernels::RoundedRows rounded =
      RoundFor(kernels, &backend->pool, matrix, {x, d}, offsets.back(), &lane->rounded);
  const int width = group * head_dim;
  const int stride = 3 * width;
  for (int begin = 0, end = 0; begin < sequences; begin = end) {
    const int first = offsets[begin];
    while (end < sequences && (offsets[end] - first < kernels::kMaxGemmRows ||
                               offsets.back() - offsets[end] < kernels::kMaxGemmRows))
      ++end;
    const int rows = offsets[end] - first;
    float* const qkv = lane->qkv.Reserve(static_cast<size_t>(rows) * stride);
    for (int column = 0; column < d; column += width) {
      for (int part = 0; part < 3; ++part) {
        MatMulColumns(kernels, matrix, rounded, first, rows, part * d + column, width,
                      {qkv + part * width, stride}, {.bias = layer.qkv.bias()});
      }
      for (int i = begin; i < end; ++i) {
        for (int head = 0; head < width; head += head_dim) {
          AttendHead(*lane, qkv + static_cast<size_t>(offsets[i] - first) * stride + head, width,
                     stride, offsets[i + 1] - offsets[i],
                     context + static_cast<size_t>(offsets[i]) * d + column + head);
        }
      }
    }
  }
}

void CpuRoberta::Layer(const RobertaLayer& layer, absl::Span<const int> offsets, Lane* lane,
                       float* x) const {
  CpuBackend* const backend = &lane->backend;
  const int d = config().hidden_size;
  const int rows = offsets.back();
  float* const context = lane->context.Reserve(static_cast<size_t>(rows) * d);
  Attention(layer, offsets, lane, x, context);
  ApplyLinear(backend, layer.attention_out, {context, d}, rows, {}, {x, d}, /*accumulate=*/true);
  Norm(layer.attention_norm, rows, lane, x);

  const int wide = config().intermediate_size;
  const int most = std::min(rows, kFeedForwardRowsOfThread * backend->pool.size());
  float* const hidden = lane->hidden.Reserve(static_cast<size_t>(most) * wide);
  for (int start = 0; start < rows; start += most) {
    const int count = std::min(most, rows - start);
    float* const part = x + static_cast<size_t>(start) * d;
    MatMul(backend->kernels, &backend->pool, layer.intermediate.matrix(), {part, d}, count,
           {hidden, wide}, {.bias = layer.intermediate.bias(), .activation = weights_->activation});
    ApplyLinear(backend, layer.output, {hidden, wide}, count, {}, {part, d}, /*accumulate=*/true);
    Norm(layer.output_norm, count, lane, part);
  }
}

void CpuRoberta::Pass(absl::Span<const std::vector<int32_t>> sequences, Lane* lane,
                      std::vector<float>* out) const {
  CpuBackend* const backend = &lane->backend;
  const auto d = static_cast<size_t>(config().hidden_size);
  std::vector<int> offsets = {0};
  for (const std::vector<int32_t>& ids : sequences)
    offsets.push_back(offsets.back() + static_cast<int>(ids.size()));
  const int rows = offsets.back();
  const int count = static_cast<int>(sequences.size());
  float* const x = lane->x.Reserve(rows * d);
  for (int i = 0; i < count; ++i) Embed(sequences[i], *lane, x + offsets[i] * d);
  Norm(weights_->embedding_norm, rows, lane, x);
  for (const RobertaLayer& layer : weights_->layers) Layer(layer, offsets, lane, x);

  // The head looks at <s>.
  float* const first = lane->first.Reserve(count * d);
  float* const dense = lane->dense.Reserve(count * d);
  for (int i = 0; i < count; ++i) std::memcpy(first + i * d, x + offsets[i] * d, d * sizeof(float));
  const auto stride = static_cast<ptrdiff_t>(d);
  ApplyLinear(backend, weights_->head_dense, {first, stride}, count, {}, {dense, stride});
  for (size_t i = 0; i < count * d; ++i) dense[i] = std::tanh(dense[i]);
  const int labels = weights_->head_out.out();
  std::vector<float> logits(static_cast<size_t>(count) * labels);
  ApplyLinear(backend, weights_->head_out, {dense, stride}, count, {}, {logits.data(), labels});
  for (int i = 0; i < count; ++i)
    out[i].assign(logits.begin() + i * labels, logits.begin() + (i + 1) * labels);
}

}  // namespace mellow::nn::cpu
