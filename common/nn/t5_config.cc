#include "common/nn/t5_config.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/weights/json_fields.h"

namespace mellow::nn {
namespace {

// Far above any T5, and low enough that sizes of matrices stay far from overflow.
constexpr int kMaxWidth = 1 << 20;
constexpr int kMaxLayers = 1000;
constexpr int64_t kMaxMatrix = int64_t{1} << 31;

bool ParseActivation(absl::string_view name, T5Activation* activation) {
  if (name == "relu") {
    *activation = T5Activation::kRelu;
  } else if (name == "gelu_new" || name == "gelu_pytorch_tanh") {  // one formula under two names
    *activation = T5Activation::kGeluNew;
  } else if (name == "gelu") {
    *activation = T5Activation::kGelu;
  } else if (name == "silu" || name == "swish") {
    *activation = T5Activation::kSilu;
  } else {
    return false;
  }
  return true;
}

void ReadActivation(JsonFields* fields, T5Config* config) {
  constexpr absl::string_view kGated = "gated-";
  std::string text = "relu";
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
                   "relu, gelu, gelu_new or silu, or one of them after \"gated-\"");
  // Newer transformers write the two results down as well, and read them with priority.
  fields->Bool("is_gated_act", &config->gated);
  std::string activation;
  fields->String("dense_act_fn", &activation);
  if (!activation.empty() && !ParseActivation(activation, &config->activation))
    fields->Reject("dense_act_fn", "relu, gelu, gelu_new or silu");
}

void CheckTogether(const T5Config& config, JsonFields* fields) {
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
  MELLOW_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJsonObject(text, name));
  JsonFields fields(json);
  std::string model_type;
  fields.String("model_type", &model_type);
  if (model_type != "t5") {
    fields.Reject("model_type", "t5");
    return fields.Finish(name);  // the other fields mean something else there
  }
  T5Config config;
  fields.Int("vocab_size", 1, std::numeric_limits<int>::max(), &config.vocab_size);
  fields.Int("d_model", 1, kMaxWidth, &config.d_model);
  fields.Int("d_kv", 1, kMaxWidth, &config.d_kv);
  fields.Int("d_ff", 1, kMaxWidth, &config.d_ff);
  fields.Int("num_layers", 1, kMaxLayers, &config.num_layers);
  config.num_decoder_layers = config.num_layers;
  fields.Int("num_decoder_layers", 1, kMaxLayers, &config.num_decoder_layers);
  fields.Int("num_heads", 1, kMaxWidth, &config.num_heads);
  fields.Int("relative_attention_num_buckets", 4, kMaxWidth,
             &config.relative_attention_num_buckets);
  fields.Int("relative_attention_max_distance", 1, kMaxWidth,
             &config.relative_attention_max_distance);
  fields.Number("layer_norm_epsilon", 0, 1, &config.layer_norm_epsilon);
  fields.Number("dropout_rate", 0, 1, &config.dropout_rate);
  ReadActivation(&fields, &config);
  fields.Bool("tie_word_embeddings", &config.tie_word_embeddings);
  fields.Int("decoder_start_token_id", 0, config.vocab_size - 1, &config.decoder_start_token_id);
  fields.Int("pad_token_id", 0, config.vocab_size - 1, &config.pad_token_id);
  CheckTogether(config, &fields);
  MELLOW_RETURN_IF_ERROR(fields.Finish(name));
  MELLOW_ASSIGN_OR_RETURN(config.generation,
                          ParseGenerationConfig(json, name, generation, config.vocab_size));
  config.eos_token_ids = config.generation.eos_token_ids;
  if (const auto start = config.generation.decoder_start_token_id) {
    if (fields.Find("decoder_start_token_id") != nullptr && *start != config.decoder_start_token_id)
      config.warnings.push_back(absl::StrCat(generation->name, ": decoder_start_token_id ", *start,
                                             " counts, not ", config.decoder_start_token_id, " of ",
                                             name));
    config.decoder_start_token_id = *start;
  }
  config.warnings.insert(config.warnings.end(), config.generation.warnings.begin(),
                         config.generation.warnings.end());
  return config;
}

}  // namespace mellow::nn
