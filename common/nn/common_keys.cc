#include "common/nn/common_keys.h"

#include "common/nn/generation_config.h"

namespace mellow::nn {

void ReadCommonKeys(json::FieldReader* fields) {
  // Where the file comes from, and how it was written.
  fields->Harmless({"_name_or_path", "name_or_path", "_commit_hash", "architectures",
                    "finetuning_task", "transformers_version", "tokenizer_class"});
  // How transformers computes, or what it returns: the same numbers in another way. The type that
  // weights are stored in is the tensors' own matter, the one they are computed in is --dtype's.
  fields->Harmless({"torch_dtype", "dtype", "torchscript", "return_dict", "output_hidden_states",
                    "output_attentions", "output_past", "use_cache", "use_bfloat16",
                    "tf_legacy_loss", "xla_device", "chunk_size_feed_forward",
                    "cross_attention_hidden_size", "gradient_checkpointing", "_attn_implementation",
                    "attn_implementation", "_attn_implementation_internal",
                    "_attn_implementation_autoset", "_experts_implementation"});
  // What pipelines and tokenizers look at.
  fields->Harmless({"task_specific_params", "prefix", "bos_token_id", "sep_token_id"});
  // Defaults of generation, which older versions wrote into every config.json.
  const json::Value& defaults = LegacyGenerationDefaults();
  for (const auto& [name, value] : defaults.members()) fields->Harmless({name.c_str()});
  // Other weights, or the same weights at other places.
  fields->Only("pruned_heads", json::Value::MakeObject());
  fields->Only("tie_encoder_decoder", false);
  for (const char* quantized : {"quantization_config", "compression_config"}) {
    if (fields->Find(quantized) != nullptr)
      fields->Reject(quantized, "none: weights of float types");
  }
}

}  // namespace mellow::nn
