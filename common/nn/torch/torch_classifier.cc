#include "common/nn/torch/torch_classifier.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"
#include "common/nn/torch/tensors.h"

namespace mellow::nn {
namespace {

constexpr size_t kClassifierPassRows = 32;  // sequences per pass, to bound the activations

}  // namespace

class TorchClassifier::Builder {
 public:
  Builder(const RobertaConfig& config, const TensorMap& tensors, at::Device device,
          at::ScalarType type)
      : c_(config), reader_(tensors), device_(device), type_(type) {}

  absl::StatusOr<std::unique_ptr<TorchClassifier>> Build() {
    std::unique_ptr<TorchClassifier> m(new TorchClassifier());
    m->config_ = c_;
    const int64_t d = c_.hidden_size;
    const std::string embeddings = "roberta.embeddings.";
    m->words_ = Take(embeddings + "word_embeddings.weight", {c_.vocab_size, d});
    m->positions_ =
        Take(embeddings + "position_embeddings.weight", {c_.max_position_embeddings, d});
    m->types_ = Take(embeddings + "token_type_embeddings.weight", {c_.type_vocab_size, d});
    m->embedding_norm_ = TakeNorm(embeddings + "LayerNorm");
    for (int i = 0; i < c_.num_hidden_layers; ++i) {
      const std::string name = absl::StrCat("roberta.encoder.layer.", i);
      Layer& layer = m->layers_.emplace_back();
      layer.query = TakeLinear(name + ".attention.self.query", d, d);
      layer.key = TakeLinear(name + ".attention.self.key", d, d);
      layer.value = TakeLinear(name + ".attention.self.value", d, d);
      layer.attention_out = TakeLinear(name + ".attention.output.dense", d, d);
      layer.attention_norm = TakeNorm(name + ".attention.output.LayerNorm");
      layer.intermediate = TakeLinear(name + ".intermediate.dense", c_.intermediate_size, d);
      layer.output = TakeLinear(name + ".output.dense", d, c_.intermediate_size);
      layer.output_norm = TakeNorm(name + ".output.LayerNorm");
    }
    m->head_dense_ = TakeLinear("classifier.dense", d, d);
    m->head_out_ = TakeLinear("classifier.out_proj", static_cast<int64_t>(c_.labels.size()), d);
    MELLOW_RETURN_IF_ERROR(reader_.Finish());
    m->parameter_count_ = count_;
    return m;
  }

 private:
  at::Tensor Take(const std::string& name, const std::vector<int64_t>& shape) {
    const HostTensor* tensor = reader_.Get(name, shape);
    at::Tensor out = tensor == nullptr
                         ? at::zeros(shape, at::TensorOptions(at::kFloat).device(device_))
                         : ToTorch(*tensor, device_);
    count_ += out.numel();
    return out;
  }
  Linear TakeLinear(const std::string& name, int64_t out, int64_t in) {
    return {Take(name + ".weight", {out, in}).to(type_), Take(name + ".bias", {out})};
  }
  Norm TakeNorm(const std::string& name) {
    return {Take(name + ".weight", {c_.hidden_size}), Take(name + ".bias", {c_.hidden_size})};
  }

  const RobertaConfig& c_;
  TensorReader reader_;
  const at::Device device_;
  const at::ScalarType type_;
  int64_t count_ = 0;
};

absl::StatusOr<std::unique_ptr<TorchClassifier>> TorchClassifier::Load(const std::string& folder,
                                                                       at::Device device,
                                                                       at::ScalarType type) {
  MELLOW_ASSIGN_OR_RETURN(const PretrainedRoberta read, ReadPretrainedRoberta(folder));
  auto model = CatchTorch([&] { return Builder(read.config, read.tensors, device, type).Build(); });
  if (!model.ok()) return Annotate(model.status(), folder);
  return model;
}

at::Tensor TorchClassifier::Apply(const Linear& linear, const at::Tensor& x) const {
  if (linear.weight.scalar_type() == at::kFloat) return at::linear(x, linear.weight, linear.bias);
  return at::linear(x.to(linear.weight.scalar_type()), linear.weight)
      .to(at::kFloat)
      .add_(linear.bias);
}

at::Tensor TorchClassifier::Apply(const Norm& norm, const at::Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, config_.layer_norm_eps);
}

at::Tensor TorchClassifier::Attend(const at::Tensor& x, const Layer& layer,
                                   const std::vector<int64_t>& lengths) const {
  const int64_t heads = config_.num_attention_heads;
  const int64_t width = config_.hidden_size / heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  const auto split = [&](const at::Tensor& y) {
    return y.view({y.size(0), heads, width}).transpose(0, 1);
  };
  const auto q = Apply(layer.query, x).mul_(scale).split_with_sizes(lengths);
  const auto k = Apply(layer.key, x).split_with_sizes(lengths);
  const auto v = Apply(layer.value, x).split_with_sizes(lengths);
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const at::Tensor weights = at::softmax(at::bmm(split(q[i]), split(k[i]).transpose(1, 2)), -1);
    rows.push_back(
        at::bmm(weights, split(v[i])).transpose(0, 1).reshape({lengths[i], heads * width}));
  }
  return Apply(layer.attention_out, at::cat(rows));
}

at::Tensor TorchClassifier::Forward(absl::Span<const std::vector<int32_t>> sequences) const {
  std::vector<int64_t> ids, positions, lengths, first;
  for (const std::vector<int32_t>& sequence : sequences) {
    first.push_back(static_cast<int64_t>(ids.size()));
    lengths.push_back(static_cast<int64_t>(sequence.size()));
    // As transformers: positions count the tokens that are not padding, from pad + 1 on.
    int64_t position = config_.pad_token_id;
    for (const int32_t id : sequence) {
      ids.push_back(id);
      positions.push_back(id == config_.pad_token_id ? config_.pad_token_id : ++position);
    }
  }
  const at::Device device = words_.device();
  at::Tensor x = at::embedding(words_, IdTensor(ids, device)) +
                 at::embedding(positions_, IdTensor(positions, device)) + types_.select(0, 0);
  x = Apply(embedding_norm_, x);
  for (const Layer& layer : layers_) {
    x = Apply(layer.attention_norm, x + Attend(x, layer, lengths));
    x = Apply(layer.output_norm,
              x + Apply(layer.output, Activate(Apply(layer.intermediate, x), config_.hidden_act)));
  }
  const at::Tensor start = x.index_select(0, IdTensor(first, device));  // each sequence's <s>
  return Apply(head_out_, at::tanh(Apply(head_dense_, start)));
}

absl::StatusOr<std::vector<std::vector<float>>> TorchClassifier::Classify(
    absl::Span<const std::vector<int32_t>> sequences) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto length = static_cast<int>(sequences[i].size());
    if (length == 0 || length > config_.max_tokens()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sequence ", i, " has ", length, " tokens, must be 1 to ", config_.max_tokens()));
    }
    for (const int32_t id : sequences[i]) {
      if (id < 0 || id >= config_.vocab_size) {
        return absl::InvalidArgumentError(
            absl::StrCat("sequence ", i, ": id ", id, ", the vocabulary has ", config_.vocab_size));
      }
    }
  }
  return CatchTorch([&]() -> absl::StatusOr<std::vector<std::vector<float>>> {
    const MutexLock lock(&mutex_);
    const at::NoGradGuard no_grad;
    std::vector<std::vector<float>> out;
    for (size_t begin = 0; begin < sequences.size(); begin += kClassifierPassRows) {
      const auto part =
          sequences.subspan(begin, std::min(kClassifierPassRows, sequences.size() - begin));
      const std::vector<float> logits = ToVector(Forward(part));
      const size_t labels = config_.labels.size();
      for (size_t i = 0; i < part.size(); ++i)
        out.emplace_back(logits.begin() + static_cast<std::ptrdiff_t>(i * labels),
                         logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * labels));
    }
    return out;
  });
}

}  // namespace mellow::nn
