#include "common/sft/parameter_counts.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nn/torch/torch_lora.h"

namespace mellow::sft {
namespace {

using Module = nn::T5Weights::Module;

void AddAttention(const nn::T5Config& c, const std::string& name, std::vector<Module>* out) {
  for (const char* part : {".q", ".k", ".v"})
    out->push_back({name + part, c.d_model, c.inner_dim()});
  out->push_back({name + ".o", c.inner_dim(), c.d_model});
}

void AddFeedForward(const nn::T5Config& c, const std::string& name, std::vector<Module>* out) {
  out->push_back({name + (c.gated ? ".wi_0" : ".wi"), c.d_model, c.d_ff});
  if (c.gated) out->push_back({name + ".wi_1", c.d_model, c.d_ff});
  out->push_back({name + ".wo", c.d_ff, c.d_model});
}

// Every linear layer of the two stacks.
std::vector<Module> LinearLayers(const nn::T5Config& c) {
  std::vector<Module> out;
  for (int i = 0; i < c.num_layers; ++i) {
    AddAttention(c, absl::StrCat("encoder.block.", i, ".layer.0.SelfAttention"), &out);
    AddFeedForward(c, absl::StrCat("encoder.block.", i, ".layer.1.DenseReluDense"), &out);
  }
  for (int i = 0; i < c.num_decoder_layers; ++i) {
    AddAttention(c, absl::StrCat("decoder.block.", i, ".layer.0.SelfAttention"), &out);
    AddAttention(c, absl::StrCat("decoder.block.", i, ".layer.1.EncDecAttention"), &out);
    AddFeedForward(c, absl::StrCat("decoder.block.", i, ".layer.2.DenseReluDense"), &out);
  }
  return out;
}

}  // namespace

absl::StatusOr<ParameterCounts> CountParameters(const nn::T5Config& model,
                                                const nn::LoraConfig& lora) {
  const std::vector<Module> layers = LinearLayers(model);
  ParameterCounts counts;
  std::vector<bool> adapted(layers.size(), false);
  for (const std::string& target : lora.target_modules) {
    bool found = false;
    for (size_t i = 0; i < layers.size(); ++i) {
      if (!nn::MatchesTarget(layers[i].name, target)) continue;
      found = true;
      adapted[i] = true;
    }
    if (!found) {
      return absl::InvalidArgumentError(absl::StrCat("lora.target_modules: \"", target,
                                                     "\" names no linear layer of this model"));
    }
  }
  int64_t base = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    base += layers[i].in * layers[i].out;
    if (adapted[i]) counts.trainable += lora.r * (layers[i].in + layers[i].out);
  }
  // Norms: two per block of the encoder, three of the decoder, one at the end of each stack.
  base += static_cast<int64_t>(model.d_model) *
          (2 * model.num_layers + 3 * model.num_decoder_layers + 2);
  // Relative position biases of both stacks; the embedding, and the head unless it is the same.
  const int biases = model.bias_in_every_layer ? model.num_layers + model.num_decoder_layers : 2;
  base += static_cast<int64_t>(model.relative_attention_num_buckets) * model.num_heads * biases;
  base +=
      static_cast<int64_t>(model.vocab_size) * model.d_model * (model.tie_word_embeddings ? 1 : 2);
  counts.total = base + counts.trainable;
  return counts;
}

}  // namespace mellow::sft
