// Any text as config.json of either architecture, and as generation_config.json. What is accepted
// must keep the promises of the headers.

#include <algorithm>
#include <cstdlib>

#include "common/nn/roberta_config.h"
#include "common/nn/t5_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = mellow::nn::ParseT5Config(text, "input"); config.ok()) {
    if (config->inner_dim() <= 0 || config->num_decoder_layers <= 0 ||
        !config->generation.sampling.Validate(config->vocab_size).ok() ||
        std::any_of(config->eos_token_ids.begin(), config->eos_token_ids.end(),
                    [&](int32_t id) { return id < 0 || id >= config->vocab_size; }))
      std::abort();
  }
  constexpr int kVocabulary = 400;
  const auto generation =
      mellow::nn::ParseGenerationConfig(mellow::json::Value::MakeObject(), "config.json",
                                        mellow::nn::NamedText{text, "input"}, kVocabulary);
  if (generation.ok() && !generation->Defaults(128, 512).Validate(kVocabulary).ok()) std::abort();
  if (const auto config = mellow::nn::ParseRobertaConfig(text, "input"); config.ok()) {
    if (config->labels.empty() || config->max_tokens() < 2 ||
        config->hidden_size % config->num_attention_heads != 0)
      std::abort();
  }
  return 0;
}
