#ifndef MELLOW_COMMON_NN_T5_CONFIG_H_
#define MELLOW_COMMON_NN_T5_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::nn {

enum class T5Activation { kRelu, kGeluNew, kGelu, kSilu };

// What config.json of a T5 folder says; defaults are those of transformers' T5Config.
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
  T5Activation activation = T5Activation::kRelu;
  bool tie_word_embeddings =
      true;  // then the head is the embedding and its input is scaled by d_model^-0.5
  int32_t decoder_start_token_id = 0;
  int32_t pad_token_id = 0;
  int32_t eos_token_id = 1;

  int inner_dim() const { return num_heads * d_kv; }
};

// Reads and checks FOLDER/config.json. NotFound: no such file. InvalidArgument: not JSON,
// model_type other than "t5", an unknown feed_forward_proj, a size that is not positive (the
// message names field and value).
[[nodiscard]] absl::StatusOr<T5Config> ReadT5Config(const std::string& folder);
// The same from the file's text; `name` stands for the file in errors.
[[nodiscard]] absl::StatusOr<T5Config> ParseT5Config(absl::string_view text,
                                                     absl::string_view name);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_T5_CONFIG_H_
