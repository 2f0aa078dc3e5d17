#include "common/nn/t5_config.h"

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/fields.h"
#include "common/nn/common_keys.h"

namespace mellow::nn {
namespace {

void ReadActivation(json::FieldReader* fields, std::string text, T5Config* config) {
  constexpr absl::string_view kGated = "gated-";
  fields->String("feed_forward_proj", &text);
  absl::string_view name = text;
  if (name.substr(0, kGated.size()) == kGated) {
    config->gated = true;
    name.remove_prefix(kGated.size());
    // T5 v1.1 was published as "gated-gelu" and computes the tanh form; transformers keeps that
    // meaning.
    if (name == "gelu") name = "gelu_new";
  }
  if (!ParseActivation(name, &config->activation))
    fields->Reject("feed_forward_proj",
                   absl::StrCat(kActivationNames, ", or one of them after \"gated-\""));
  // Newer transformers write the two results down as well, and read them with priority.
  fields->Bool("is_gated_act", &config->gated);
  std::string activation;
  fields->String("dense_act_fn", &activation);
  if (!activation.empty() && !ParseActivation(activation, &config->activation))
    fields->Reject("dense_act_fn", kActivationNames);
}

// A size and transformers' common name for it, which sets the same attribute there.
void ReadSize(json::FieldReader* fields, const char* name, const char* common, int most,
              int* value) {
  int other = 0;
  fields->Int(common, 1, most, &other);
  if (other != 0) *value = other;
  fields->Int(name, 1, most, value);
  if (other != 0 && *value != other) fields->Reject(common, absl::StrCat("what ", name, " says"));
}

void ReadHead(json::FieldReader* fields, bool mt5, T5Config* config) {
  std::string version;
  fields->String("transformers_version", &version);
  int major = 0;
  config->written_by_transformers_5 =
      absl::SimpleAtoi(version.substr(0, version.find('.')), &major) && major >= 5;
  fields->Bool("tie_word_embeddings", &config->tie_word_embeddings);
  // Up to transformers 4, one flag says both: whether the head is the embedding, and whether its
  // input is scaled. Version 5 wrote down the scaling alone (and left mT5's out of the code).
  config->scale_decoder_outputs = config->tie_word_embeddings;
  if (mt5) {
    if (config->written_by_transformers_5) config->scale_decoder_outputs = false;
    fields->Only("scale_decoder_outputs", false);
  } else if (fields->Find("scale_decoder_outputs") != nullptr) {
    config->written_by_transformers_5 = true;
    fields->Bool("scale_decoder_outputs", &config->scale_decoder_outputs);
  }
}

// What else configurations of these models have.
void ReadOtherT5Keys(json::FieldReader* fields) {
  ReadCommonKeys(fields);
  fields->Only("is_encoder_decoder", true);
  // These are fields of training, of other heads, of the stacks (which set theirs themselves), and
  // of exporters that transformers does not listen to.
  fields->Harmless({"initializer_factor", "classifier_dropout", "problem_type", "id2label",
                    "label2id", "num_labels", "_num_labels", "is_decoder", "add_cross_attention",
                    "n_positions", "scalable_attention"});
  // ParseGenerationConfig reads it, as it does the defaults of generation among the common keys.
  fields->Harmless({"eos_token_id"});
}

void CheckTogether(const T5Config& config, json::FieldReader* fields) {
  // Half of the encoder's buckets are for each direction, half of those are exact; the rest grows
  // by a logarithm.
  if (config.relative_attention_max_distance <= config.relative_attention_num_buckets / 2)
    fields->Reject("relative_attention_max_distance",
                   "more than half of relative_attention_num_buckets");
  const int64_t inner = int64_t{config.num_heads} * config.d_kv;
  if (inner > kMaxWidth || inner * config.d_model > kMaxMatrix)
    fields->Reject("num_heads", "a smaller product with d_kv and d_model");
  if (int64_t{config.vocab_size} * config.d_model > kMaxMatrix)
    fields->Reject("vocab_size", "a smaller product with d_model");
  if (int64_t{config.d_ff} * config.d_model > kMaxMatrix)
    fields->Reject("d_ff", "a smaller product with d_model");
}

}  // namespace

absl::StatusOr<T5Config> ReadT5Config(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/config.json");
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string generation_path = absl::StrCat(folder, "/generation_config.json");
  const absl::StatusOr<std::string> generation = ReadFile(generation_path);
  if (absl::IsNotFound(generation.status())) return ParseT5Config(text, path);
  MELLOW_RETURN_IF_ERROR(generation.status());
  return ParseT5Config(text, path, NamedText{*generation, generation_path});
}

absl::StatusOr<T5Config> ParseT5Config(absl::string_view text, absl::string_view name,
                                       const std::optional<NamedText>& generation) {
  MELLOW_ASSIGN_OR_RETURN(const json::Value file, json::ParseObject(text, name));
  json::FieldReader fields(file, name);
  std::string type;
  fields.String("model_type", &type);
  const bool mt5 = type == "mt5";
  const bool umt5 = type == "umt5";
  if (type != "t5" && !mt5 && !umt5) {
    fields.Reject("model_type", "t5, mt5 or umt5");
    return fields.Finish();  // the other fields mean something else there
  }
  T5Config config;
  std::string feed_forward = "relu";
  if (mt5 || umt5) {
    config.vocab_size = 250112;
    config.d_ff = 1024;
    config.num_layers = 8;
    config.num_heads = 6;
    config.tie_word_embeddings = umt5;
    config.bias_in_every_layer = umt5;
    feed_forward = "gated-gelu";
  }
  fields.Int("vocab_size", 1, std::numeric_limits<int>::max(), &config.vocab_size);
  ReadSize(&fields, "d_model", "hidden_size", kMaxWidth, &config.d_model);
  ReadSize(&fields, "d_kv", "head_dim", kMaxWidth, &config.d_kv);
  fields.Int("d_ff", 1, kMaxWidth, &config.d_ff);
  ReadSize(&fields, "num_layers", "num_hidden_layers", kMaxLayers, &config.num_layers);
  config.num_decoder_layers = config.num_layers;
  fields.Int("num_decoder_layers", 1, kMaxLayers, &config.num_decoder_layers);
  ReadSize(&fields, "num_heads", "num_attention_heads", kMaxWidth, &config.num_heads);
  fields.Int("relative_attention_num_buckets", 4, kMaxWidth,
             &config.relative_attention_num_buckets);
  fields.Int("relative_attention_max_distance", 1, kMaxWidth,
             &config.relative_attention_max_distance);
  fields.Number("layer_norm_epsilon", 0, 1, &config.layer_norm_epsilon);
  fields.Number("dropout_rate", 0, 1, &config.dropout_rate);
  ReadActivation(&fields, feed_forward, &config);
  ReadHead(&fields, mt5, &config);
  fields.Int("decoder_start_token_id", 0, config.vocab_size - 1, &config.decoder_start_token_id);
  fields.Int("pad_token_id", 0, config.vocab_size - 1, &config.pad_token_id);
  ReadOtherT5Keys(&fields);
  CheckTogether(config, &fields);
  MELLOW_RETURN_IF_ERROR(fields.Finish());
  for (const std::string& unknown : fields.Unknown())
    config.warnings.push_back(absl::StrCat(name, ": ", unknown));
  MELLOW_ASSIGN_OR_RETURN(config.generation,
                          ParseGenerationConfig(file, name, generation, config.vocab_size));
  config.eos_token_ids = config.generation.eos_token_ids;
  if (const auto start = config.generation.decoder_start_token_id) {
    if (fields.Find("decoder_start_token_id") != nullptr && *start != config.decoder_start_token_id)
      config.warnings.push_back(absl::StrCat(generation->name, ": decoder_start_token_id ", *start,
                                             " counts, not ", config.decoder_start_token_id, " of ",
                                             name));
    config.decoder_start_token_id = *start;
  } else if (type == "t5" && fields.Find("decoder_start_token_id") == nullptr) {
    config.warnings.push_back(absl::StrCat(name, ": decoder_start_token_id is missing; taken as ",
                                           config.decoder_start_token_id,
                                           ", T5's pad_token_id (transformers does not generate)"));
  }
  config.warnings.insert(config.warnings.end(), config.generation.warnings.begin(),
                         config.generation.warnings.end());
  return config;
}

}  // namespace mellow::nn
