#ifndef MELLOW_COMMON_NN_T5_CONFIG_H_
#define MELLOW_COMMON_NN_T5_CONFIG_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/nn/activation.h"
#include "common/nn/generation_config.h"

namespace mellow::nn {

// What config.json of a T5, mT5 or UMT5 folder says; defaults are those of transformers' T5Config
// (ParseT5Config begins with those of the folder's own model_type). mT5 and UMT5 compute as T5 v1.1
// does, but for UMT5's position biases.
struct T5Config {
  int vocab_size = 32128;
  int d_model = 512;
  int d_kv = 64;
  int d_ff = 2048;
  int num_layers = 6;
  int num_decoder_layers = 6;
  int num_heads = 8;
  int relative_attention_num_buckets = 32;
  int relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
  double dropout_rate = 0.1;
  bool gated = false;  // "gated-gelu": wi_0, wi_1; else one wi
  Activation activation = Activation::kRelu;
  bool bias_in_every_layer = false;  // UMT5; else each stack's first layer has the bias of all
  // The head is the embedding. The file's word alone does not decide: ReadPretrainedT5 sets it by
  // the tensors that are there.
  bool tie_word_embeddings = true;
  bool scale_decoder_outputs = true;  // the head's input is multiplied by d_model^-0.5
  // transformers 5 says tie_word_embeddings of every T5 that it writes, also where it writes a head
  // of its own.
  bool written_by_transformers_5 = false;
  // Starts generation and teacher forcing alike: generation_config.json's, else config.json's.
  int32_t decoder_start_token_id = 0;
  int32_t pad_token_id = 0;
  std::vector<int32_t> eos_token_ids = {1};
  // What generation_config.json or, in its place, config.json says.
  GenerationConfig generation;
  std::vector<std::string> warnings;  // what the files say and nobody here knows; one line each

  int inner_dim() const { return num_heads * d_kv; }
  bool IsEnd(int32_t id) const {
    return std::find(eos_token_ids.begin(), eos_token_ids.end(), id) != eos_token_ids.end();
  }
};

// Reads and checks FOLDER/config.json and, where there is one, FOLDER/generation_config.json.
// NotFound: no config.json. InvalidArgument: not JSON, another model_type, an unknown
// feed_forward_proj, a size that is not positive, a key whose value would change numbers and is not
// implemented (the message names field and value).
[[nodiscard]] absl::StatusOr<T5Config> ReadT5Config(const std::string& folder);
// The same from the files' texts; `name` stands for config.json in errors.
[[nodiscard]] absl::StatusOr<T5Config> ParseT5Config(
    absl::string_view text, absl::string_view name,
    const std::optional<NamedText>& generation = std::nullopt);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_T5_CONFIG_H_
