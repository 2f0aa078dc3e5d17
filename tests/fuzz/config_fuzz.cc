// Any text as config.json of either architecture. What is accepted must keep the promises of the
// headers.

#include <cstdlib>

#include "common/nn/roberta_config.h"
#include "common/nn/t5_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = mellow::nn::ParseT5Config(text, "input"); config.ok()) {
    if (config->inner_dim() <= 0 || config->num_decoder_layers <= 0 ||
        config->eos_token_id >= config->vocab_size || config->d_model <= 0)
      std::abort();
  }
  if (const auto config = mellow::nn::ParseRobertaConfig(text, "input"); config.ok()) {
    if (config->labels.empty() || config->max_tokens() < 2 ||
        config->hidden_size % config->num_attention_heads != 0)
      std::abort();
  }
  return 0;
}
