#include "common/nn/roberta_config.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/fields.h"
#include "common/nn/common_keys.h"
#include "common/nn/roberta_labels.h"

namespace mellow::nn {
namespace {

// What would change the numbers and is not implemented.
void CheckVariants(json::FieldReader* fields) {
  fields->Only("position_embedding_type", "absolute");
  for (const char* field : {"is_decoder", "add_cross_attention"}) fields->Only(field, false);
}

// What else configurations of this model have: of training, and of other heads than this one.
void ReadOtherRobertaKeys(json::FieldReader* fields) {
  ReadCommonKeys(fields);
  fields->Harmless({"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
                    "initializer_range", "eos_token_id", "decoder_start_token_id",
                    "is_encoder_decoder", "tie_word_embeddings", "label2id", "_num_labels",
                    "problem_type"});
}

void CheckTogether(const RobertaConfig& config, json::FieldReader* fields) {
  if (config.hidden_size % config.num_attention_heads != 0)
    fields->Reject("num_attention_heads", "a divisor of hidden_size");
  if (config.max_tokens() < 2)
    fields->Reject("max_position_embeddings", "room for two tokens behind pad_token_id");
  const int64_t width = config.hidden_size;
  if (width * width > kMaxMatrix) fields->Reject("hidden_size", "a smaller size");
  if (config.vocab_size * width > kMaxMatrix)
    fields->Reject("vocab_size", "a smaller product with hidden_size");
  if (config.intermediate_size * width > kMaxMatrix)
    fields->Reject("intermediate_size", "a smaller product with hidden_size");
  if (config.max_position_embeddings * width > kMaxMatrix)
    fields->Reject("max_position_embeddings", "a smaller product with hidden_size");
}

}  // namespace

absl::StatusOr<RobertaConfig> ReadRobertaConfig(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/config.json");
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseRobertaConfig(text, path);
}

absl::StatusOr<RobertaConfig> ParseRobertaConfig(absl::string_view text, absl::string_view name) {
  MELLOW_ASSIGN_OR_RETURN(const json::Value file, json::ParseObject(text, name));
  json::FieldReader fields(file, name);
  std::string model_type;
  fields.String("model_type", &model_type);
  if (model_type != "roberta") {
    fields.Reject("model_type", "roberta");
    return fields.Finish();  // the other fields mean something else there
  }
  RobertaConfig config;
  fields.Int("vocab_size", 1, std::numeric_limits<int>::max(), &config.vocab_size);
  fields.Int("hidden_size", 1, kMaxWidth, &config.hidden_size);
  fields.Int("num_hidden_layers", 1, kMaxLayers, &config.num_hidden_layers);
  fields.Int("num_attention_heads", 1, kMaxWidth, &config.num_attention_heads);
  fields.Int("intermediate_size", 1, kMaxWidth, &config.intermediate_size);
  fields.Int("max_position_embeddings", 1, kMaxWidth, &config.max_position_embeddings);
  fields.Int("type_vocab_size", 1, kMaxWidth, &config.type_vocab_size);
  fields.Number("layer_norm_eps", 0, 1, &config.layer_norm_eps);
  fields.Int("pad_token_id", 0, config.vocab_size - 1, &config.pad_token_id);
  std::string activation = "gelu";
  fields.String("hidden_act", &activation);
  if (!ParseActivation(activation, &config.hidden_act))
    fields.Reject("hidden_act", kActivationNames);
  ReadLabels(&fields, &config);
  CheckVariants(&fields);
  ReadOtherRobertaKeys(&fields);
  CheckTogether(config, &fields);
  MELLOW_RETURN_IF_ERROR(fields.Finish());
  for (const std::string& unknown : fields.Unknown())
    config.warnings.push_back(absl::StrCat(name, ": ", unknown));
  return config;
}

}  // namespace mellow::nn
