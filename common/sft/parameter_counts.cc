#include "common/sft/parameter_counts.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nn/linear_shape.h"
#include "common/nn/torch/torch_lora.h"

namespace mellow::sft {

absl::StatusOr<ParameterCounts> CountParameters(const nn::T5Config& model,
                                                const nn::LoraConfig& lora) {
  const std::vector<nn::LinearShape> layers = nn::LinearLayers(model);
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
