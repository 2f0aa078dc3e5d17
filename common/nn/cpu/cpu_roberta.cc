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

// Tokens of a pass with all threads, and of one of several side by side: those activations stay in
// the second-level cache of their core.
constexpr int kAllPassTokens = 2048;
constexpr int kLanePassTokens = 512;
constexpr int kLaneFeedForwardRows = kernels::kMaxGemmRows;  // by one thread, for the same reason

// Sequences [0, n) in parts of whole sequences with about equally many tokens: where they begin,
// and n.
std::vector<size_t> Parts(absl::Span<const std::vector<int32_t>> sequences, int64_t parts) {
  int64_t total = 0;
  for (const std::vector<int32_t>& ids : sequences) total += static_cast<int64_t>(ids.size());
  std::vector<size_t> begins = {0};
  int64_t tokens = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    tokens += static_cast<int64_t>(sequences[i].size());
    if (tokens * parts >= total * static_cast<int64_t>(begins.size())) begins.push_back(i + 1);
  }
  return begins;
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
  int64_t total = 0;
  for (const std::vector<int32_t>& ids : sequences) total += static_cast<int64_t>(ids.size());
  MutexLock lock(&mutex_);
  const int threads = all_->backend.pool.size();
  const auto pass = [&](const std::vector<size_t>& begins, size_t i, Lane* lane) {
    Pass(sequences.subspan(begins[i], begins[i + 1] - begins[i]), lane, out.data() + begins[i]);
  };
  // Every thread its own sequences, unless that leaves threads without work for a third of the
  // time.
  const int64_t rounds =
      (total + int64_t{kLanePassTokens} * threads - 1) / (kLanePassTokens * threads);
  const std::vector<size_t> side_by_side = Parts(sequences, rounds * threads);
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < side_by_side.size(); ++i) {
    int64_t tokens = 0;
    for (size_t k = side_by_side[i]; k < side_by_side[i + 1]; ++k) tokens += sequences[k].size();
    longest = std::max(longest, tokens);
  }
  if (2 * longest * rounds * threads <= 3 * total) {
    std::atomic<size_t> next = 0;
    all_->backend.pool.Run(threads, [&](int thread) {
      for (size_t i; (i = next++) + 1 < side_by_side.size();)
        pass(side_by_side, i, lanes_[thread].get());
    });
    return out;
  }
  const std::vector<size_t> begins = Parts(sequences, (total + kAllPassTokens - 1) / kAllPassTokens);
  for (size_t i = 0; i + 1 < begins.size(); ++i) pass(begins, i, all_.get());
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

void CpuRoberta::Attention(const RobertaLayer& layer, absl::Span<const int> offsets, Lane* lane,
                           const float* x, float* context) const {
  const kernels::KernelTable& kernels = lane->backend.kernels;
  const int d = config().hidden_size;
  const int heads = config().num_attention_heads;
  const int head_dim = d / heads;
  const kernels::RoundedRows rounded = RoundFor(kernels, &lane->backend.pool, layer.qkv.matrix(),
                                                {x, d}, offsets.back(), &lane->rounded);
  // q, k and v of a few heads and sequences at a time: attention then finds them in the cache. The
  // columns of those heads have to be whole panels.
  int group = heads;
  for (int fewer = heads; fewer > 0; --fewer) {
    if (heads % fewer == 0 && fewer * head_dim % kernels.panel_width == 0 &&
        d % kernels.panel_width == 0)
      group = fewer;
  }
  std::vector<int> begins = {0};  // in offsets
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] - offsets[begins.back()] >= kernels::kMaxGemmRows || i + 1 == offsets.size())
      begins.push_back(i);
  }
  const int chunks = static_cast<int>(begins.size()) - 1;
  const int width = group * head_dim;
  const int stride = 3 * width;
  lane->backend.pool.Run(heads / group * chunks, [&](int task) {
    static thread_local kernels::FloatBuffer buffer;
    const int column = task / chunks * width;
    const absl::Span<const int> part = offsets.subspan(
        begins[task % chunks], begins[task % chunks + 1] - begins[task % chunks] + 1);
    const int rows = part.back() - part.front();
    float* const qkv = buffer.Reserve(static_cast<size_t>(rows) * stride);
    if (group == heads) {
      MatMulColumns(kernels, layer.qkv.matrix(), rounded, part.front(), rows, 0, stride,
                    {qkv, stride}, {.bias = layer.qkv.bias()});
    } else {
      for (int i = 0; i < 3; ++i)
        MatMulColumns(kernels, layer.qkv.matrix(), rounded, part.front(), rows, i * d + column,
                      width, {qkv + i * width, stride}, {.bias = layer.qkv.bias()});
    }
    kernels::AttentionArgs args;
    args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    for (size_t i = 0; i + 1 < part.size(); ++i) {
      args.queries = args.keys = part[i + 1] - part[i];
      for (int head = 0; head < group; ++head) {
        const float* const q =
            qkv + static_cast<size_t>(part[i] - part.front()) * stride + head * head_dim;
        args.q = {q, stride};
        args.out = {context + static_cast<size_t>(part[i]) * d + column + head * head_dim, d};
        kernels::AttendOnce(kernels, layout_, {q + width, stride}, {q + 2 * width, stride}, args);
      }
    }
  });
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
  const int most = std::min(rows, kLaneFeedForwardRows * backend->pool.size());
  float* const hidden = lane->hidden.Reserve(static_cast<size_t>(most) * wide);
  for (int start = 0; start < rows; start += most) {
    const int count = std::min(most, rows - start);
    float* const part = x + static_cast<size_t>(start) * d;
    ApplyLinear(backend, layer.intermediate, {part, d}, count, {}, {hidden, wide});
    backend->ForRows(count, [&](int first, int n) {
      backend->kernels.activate(weights_->activation, hidden + static_cast<size_t>(first) * wide,
                                n * wide);
    });
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
