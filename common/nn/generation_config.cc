#include "common/nn/generation_config.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/json/fields.h"

namespace mellow::nn {
namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();

// Change what is generated, are not implemented, and so must have a value that switches them off.
struct Unsupported {
  const char* name;
  json::Value off;  // beside null
};
const std::vector<Unsupported>& UnsupportedFields() {
  static const auto& fields = *new std::vector<Unsupported>{{"num_beam_groups", 1},
                                                            {"diversity_penalty", 0},
                                                            {"penalty_alpha", 0},
                                                            {"num_return_sequences", 1},
                                                            {"top_h", nullptr},
                                                            {"guidance_scale", 1},
                                                            {"token_healing", false},
                                                            {"max_time", nullptr},
                                                            {"stop_strings", nullptr},
                                                            {"dola_layers", nullptr},
                                                            {"force_words_ids", nullptr},
                                                            {"constraints", nullptr},
                                                            {"forced_decoder_ids", nullptr},
                                                            {"watermarking_config", nullptr},
                                                            {"prompt_lookup_num_tokens", nullptr}};
  return fields;
}

// How numbers are computed or what else is returned; remove_invalid_values, because a score that is
// not finite is an error here.
constexpr std::initializer_list<const char*> kHarmless = {"use_cache",
                                                          "cache_implementation",
                                                          "cache_config",
                                                          "return_legacy_cache",
                                                          "low_memory",
                                                          "compile_config",
                                                          "disable_compile",
                                                          "prefill_chunk_size",
                                                          "remove_invalid_values",
                                                          "output_attentions",
                                                          "output_hidden_states",
                                                          "output_scores",
                                                          "output_logits",
                                                          "return_dict_in_generate",
                                                          "is_assistant",
                                                          "num_assistant_tokens",
                                                          "num_assistant_tokens_schedule",
                                                          "assistant_confidence_threshold",
                                                          "assistant_early_exit",
                                                          "assistant_ensemble_weight",
                                                          "continuous_batching_config",
                                                          "max_cache_len",
                                                          "speculation_type",
                                                          "use_mtp",
                                                          "assistant_lookbehind",
                                                          "target_lookbehind",
                                                          "max_matching_ngram_size",
                                                          "generation_kwargs",
                                                          "transformers_version",
                                                          "_from_model_config",
                                                          "_commit_hash",
                                                          "_original_object_hash",
                                                          "torch_dtype",
                                                          "dtype",
                                                          "trust_remote_code",
                                                          "bos_token_id"};

// Whether config.json means to say something about generation, as transformers sees it.
bool HasLegacyFields(const json::Value& model) {
  const json::Value& defaults = LegacyGenerationDefaults();
  for (const auto& [name, value] : defaults.members()) {
    const json::Value* found = model.Find(name);
    if (found != nullptr && !found->is_null() && *found != value) return true;
  }
  return false;
}

// A token id from 0.
bool ReadId(const json::Value& value, int32_t* id) {
  int32_t read = 0;
  if (!value.To(&read) || read < 0) return false;
  *id = read;
  return true;
}

bool ReadIds(const json::Value& value, std::vector<int32_t>* ids) {
  std::vector<int32_t> read;
  if (!value.To(&read) || read.size() > kMaxRuleIds ||
      std::any_of(read.begin(), read.end(), [](int32_t id) { return id < 0; }))
    return false;
  *ids = std::move(read);
  return true;
}

// A list of ids, or where `one` says so a single one.
bool ReadIds(json::FieldReader* fields, const char* field, bool one, std::vector<int32_t>* ids) {
  const json::Value* value = fields->Find(field);
  if (value == nullptr) return false;
  int32_t id = 0;
  if (one && ReadId(*value, &id)) {
    *ids = {id};
    return true;
  }
  if (ReadIds(*value, ids)) return true;
  fields->Reject(field, one ? "a token id or a list of some" : "a list of token ids");
  return false;
}

void ReadBadWords(json::FieldReader* fields, LogitsRules* rules) {
  const json::Value* value = fields->Find("bad_words_ids");
  if (value == nullptr) return;
  std::vector<std::vector<int32_t>> words;
  bool good = value->is_array() && value->size() <= kMaxRuleIds;
  for (const json::Value& word : value->elements()) {
    good = good && ReadIds(word, &words.emplace_back());
  }
  if (!good) return fields->Reject("bad_words_ids", "a list of lists of token ids");
  rules->bad_words_ids = std::move(words);
}

// [[[ids], bias], ...]
void ReadSequenceBias(json::FieldReader* fields, LogitsRules* rules) {
  const json::Value* value = fields->Find("sequence_bias");
  if (value == nullptr) return;
  rules->sequence_bias.clear();
  constexpr char kForm[] = "a list of pairs of a list of token ids and a number";
  if (!value->is_array() || value->size() > kMaxRuleIds)
    return fields->Reject("sequence_bias", kForm);
  for (const json::Value& pair : value->elements()) {
    std::vector<int32_t> ids;
    if (pair.size() != 2 || !ReadIds(pair[0], &ids) || !pair[1].is_number())
      return fields->Reject("sequence_bias", kForm);
    rules->sequence_bias.emplace_back(std::move(ids), pair[1].number());
  }
}

void ReadExponentialDecay(json::FieldReader* fields, LogitsRules* rules) {
  constexpr char kName[] = "exponential_decay_length_penalty";
  const json::Value* value = fields->Find(kName);
  if (value == nullptr) return;
  int32_t start = 0;
  if (value->size() != 2 || !ReadId((*value)[0], &start) || !(*value)[1].is_number())
    return fields->Reject(kName, "a pair of a number of tokens and a factor");
  rules->exponential_decay_start = start;
  rules->exponential_decay_factor = (*value)[1].number();
}

void ReadEarlyStopping(json::FieldReader* fields, EarlyStopping* early_stopping) {
  const json::Value* value = fields->Find("early_stopping");
  if (value == nullptr) return;
  if (value->is_bool()) {
    *early_stopping = value->boolean() ? EarlyStopping::kTrue : EarlyStopping::kFalse;
  } else if (*value == "never") {
    *early_stopping = EarlyStopping::kNever;
  } else {
    fields->Reject("early_stopping", "true, false or \"never\"");
  }
}

void ReadRules(json::FieldReader* fields, LogitsRules* rules) {
  constexpr double kMost = std::numeric_limits<double>::max();
  fields->Number("repetition_penalty", -kMost, kMost, &rules->repetition_penalty);
  fields->Number("encoder_repetition_penalty", -kMost, kMost, &rules->encoder_repetition_penalty);
  fields->Int("no_repeat_ngram_size", 0, kMostInt, &rules->no_repeat_ngram_size);
  fields->Int("encoder_no_repeat_ngram_size", 0, kMostInt, &rules->encoder_no_repeat_ngram_size);
  ReadSequenceBias(fields, rules);
  ReadBadWords(fields, rules);
  ReadIds(fields, "suppress_tokens", /*one=*/false, &rules->suppress_tokens);
  ReadIds(fields, "begin_suppress_tokens", /*one=*/false, &rules->begin_suppress_tokens);
  fields->Int("forced_bos_token_id", -1, kMostInt, &rules->forced_bos_token_id);
  const json::Value* forced_eos = fields->Find("forced_eos_token_id");
  if (forced_eos != nullptr && *forced_eos == -1) {
    rules->forced_eos_token_id.clear();
  } else {
    ReadIds(fields, "forced_eos_token_id", /*one=*/true, &rules->forced_eos_token_id);
  }
  ReadExponentialDecay(fields, rules);
  fields->Number("min_p", -kMost, kMost, &rules->min_p);
  fields->Number("typical_p", -kMost, kMost, &rules->typical_p);
  fields->Number("epsilon_cutoff", -kMost, kMost, &rules->epsilon_cutoff);
  fields->Number("eta_cutoff", -kMost, kMost, &rules->eta_cutoff);
  fields->Bool("renormalize_logits", &rules->renormalize_logits);
}

// Without lengths. What is absent stays.
void ReadSamplingFields(json::FieldReader* fields, SamplingParams* params) {
  constexpr double kMost = std::numeric_limits<double>::max();
  fields->Bool("do_sample", &params->do_sample);
  fields->Number("temperature", -kMost, kMost, &params->temperature);
  fields->Int("top_k", 0, kMostInt, &params->top_k);
  fields->Number("top_p", -kMost, kMost, &params->top_p);
  fields->Int("num_beams", 1, kMostInt, &params->num_beams);
  fields->Number("length_penalty", -kMost, kMost, &params->length_penalty);
  ReadEarlyStopping(fields, &params->early_stopping);
  LogitsRules rules = params->rules == nullptr ? LogitsRules() : *params->rules;
  ReadRules(fields, &rules);
  params->SetRules(std::move(rules));
}

void RefuseUnsupported(json::FieldReader* fields) {
  for (const Unsupported& field : UnsupportedFields()) {
    const json::Value* value = fields->Find(field.name);
    if (value == nullptr || *value == field.off) continue;
    fields->Reject(field.name, field.off.is_null() ? "null (it is not implemented)"
                                                   : absl::StrCat(json::Write(field.off),
                                                                  " (it is not implemented)"));
  }
}

void ReadLengths(json::FieldReader* fields, GenerationConfig* config) {
  int length = 0;
  fields->Int("max_length", 2, kMostInt, &length);
  if (length > 0) config->max_new_tokens = length - 1;
  length = 0;
  fields->Int("max_new_tokens", 1, kMostInt, &length);
  if (length > 0) config->max_new_tokens = length;
  length = 0;
  fields->Int("min_length", 0, kMostInt, &length);
  if (length > 0) config->min_new_tokens = length - 1;
  length = -1;
  fields->Int("min_new_tokens", 0, kMostInt, &length);
  if (length >= 0) config->min_new_tokens = length;
}

std::optional<int32_t> ReadId(json::FieldReader* fields, const char* field, int vocab_size) {
  int32_t id = -1;
  // A list is one start token for each row of a batch; of one it is the same.
  const json::Value* value = fields->Find(field);
  if (value != nullptr && value->is_array() && value->size() == 1 && ReadId((*value)[0], &id) &&
      id < vocab_size)
    return id;
  id = -1;
  fields->Int(field, 0, vocab_size - 1, &id);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

void ReadTokens(json::FieldReader* fields, int vocab_size, GenerationConfig* config) {
  if (ReadIds(fields, "eos_token_id", /*one=*/true, &config->eos_token_ids) &&
      std::any_of(config->eos_token_ids.begin(), config->eos_token_ids.end(),
                  [&](int32_t id) { return id >= vocab_size; }))
    fields->Reject("eos_token_id", absl::StrCat("ids from 0 to ", vocab_size - 1));
  config->pad_token_id = ReadId(fields, "pad_token_id", vocab_size);
  config->decoder_start_token_id = ReadId(fields, "decoder_start_token_id", vocab_size);
  if (!config->decoder_start_token_id)
    config->decoder_start_token_id = ReadId(fields, "bos_token_id", vocab_size);
}

// What is in force although GetInfo's SamplingParams has no field for it.
void NoteRulesWithoutField(const LogitsRules& rules, absl::string_view name,
                           std::vector<std::string>* warnings) {
  const LogitsRules none;
  const auto note = [&](const char* field) {
    warnings->push_back(absl::StrCat(name, ": ", field, " is in force for every request"));
  };
  if (rules.encoder_repetition_penalty != none.encoder_repetition_penalty)
    note("encoder_repetition_penalty");
  if (!rules.sequence_bias.empty()) note("sequence_bias");
  if (!rules.begin_suppress_tokens.empty()) note("begin_suppress_tokens");
  if (rules.exponential_decay_factor != 1) note("exponential_decay_length_penalty");
  if (rules.renormalize_logits) note("renormalize_logits");
  if (rules.forced_eos_token_id.size() > 1) note("forced_eos_token_id (several)");
}

}  // namespace

const json::Value& LegacyGenerationDefaults() {
  static const auto& defaults = *new json::Value{{"max_length", 20},
                                                 {"min_length", 0},
                                                 {"do_sample", false},
                                                 {"early_stopping", false},
                                                 {"num_beams", 1},
                                                 {"num_beam_groups", 1},
                                                 {"diversity_penalty", 0.0},
                                                 {"temperature", 1.0},
                                                 {"top_k", 50},
                                                 {"top_p", 1.0},
                                                 {"typical_p", 1.0},
                                                 {"repetition_penalty", 1.0},
                                                 {"length_penalty", 1.0},
                                                 {"no_repeat_ngram_size", 0},
                                                 {"encoder_no_repeat_ngram_size", 0},
                                                 {"bad_words_ids", nullptr},
                                                 {"num_return_sequences", 1},
                                                 {"output_scores", false},
                                                 {"return_dict_in_generate", false},
                                                 {"forced_bos_token_id", nullptr},
                                                 {"forced_eos_token_id", nullptr},
                                                 {"remove_invalid_values", false},
                                                 {"exponential_decay_length_penalty", nullptr},
                                                 {"suppress_tokens", nullptr},
                                                 {"begin_suppress_tokens", nullptr}};
  return defaults;
}

const std::vector<std::string>& SamplingFieldNames() {
  static const auto& names = *new std::vector<std::string>{"do_sample",
                                                           "temperature",
                                                           "top_k",
                                                           "top_p",
                                                           "num_beams",
                                                           "length_penalty",
                                                           "early_stopping",
                                                           "max_new_tokens",
                                                           "min_new_tokens",
                                                           "repetition_penalty",
                                                           "encoder_repetition_penalty",
                                                           "no_repeat_ngram_size",
                                                           "encoder_no_repeat_ngram_size",
                                                           "sequence_bias",
                                                           "bad_words_ids",
                                                           "suppress_tokens",
                                                           "begin_suppress_tokens",
                                                           "forced_bos_token_id",
                                                           "forced_eos_token_id",
                                                           "exponential_decay_length_penalty",
                                                           "min_p",
                                                           "typical_p",
                                                           "epsilon_cutoff",
                                                           "eta_cutoff",
                                                           "renormalize_logits"};
  return names;
}

bool IsUnsupportedGenerationField(absl::string_view name) {
  return std::any_of(UnsupportedFields().begin(), UnsupportedFields().end(),
                     [&](const Unsupported& field) { return name == field.name; });
}

absl::StatusOr<SamplingParams> ReadSampling(const json::Value& request,
                                            const SamplingParams& defaults, int vocab_size) {
  SamplingParams params = defaults;
  json::FieldReader fields(request, "the request");
  ReadSamplingFields(&fields, &params);
  fields.Int("min_new_tokens", 0, kMostInt, &params.min_new_tokens);
  const bool has_min = fields.Find("min_new_tokens") != nullptr;
  if (has_min) params.max_new_tokens = std::max(params.max_new_tokens, params.min_new_tokens);
  fields.Int("max_new_tokens", 1, kMostInt, &params.max_new_tokens);
  // A model's usual least length gives way to a shorter answer that is asked for.
  if (!has_min) params.min_new_tokens = std::min(params.min_new_tokens, params.max_new_tokens);
  MELLOW_RETURN_IF_ERROR(fields.Finish());
  MELLOW_RETURN_IF_ERROR(params.Validate(vocab_size));
  return params;
}

absl::StatusOr<GenerationConfig> ParseGenerationConfig(const json::Value& model,
                                                       absl::string_view model_name,
                                                       const std::optional<NamedText>& file,
                                                       int vocab_size) {
  GenerationConfig config;
  json::Value own;
  const json::Value* source = &model;
  absl::string_view name = model_name;
  if (file.has_value()) {
    MELLOW_ASSIGN_OR_RETURN(own, json::ParseObject(file->text, file->name));
    if (own["_from_model_config"].boolean() && HasLegacyFields(model)) {
      config.warnings.push_back(absl::StrCat(file->name, " is left aside: it was made from ",
                                             model_name,
                                             ", which has fields of generation itself"));
    } else {
      source = &own;
      name = file->name;
    }
  }
  const bool own_file = source == &own;
  json::FieldReader fields(*source, name);
  if (!own_file && !source->Has("eos_token_id")) config.eos_token_ids = {1};  // T5Config's
  if (!own_file && !source->Has("pad_token_id")) config.pad_token_id = 0;
  const std::optional<int32_t> default_pad = config.pad_token_id;
  ReadTokens(&fields, vocab_size, &config);
  if (!config.pad_token_id) config.pad_token_id = default_pad;
  ReadLengths(&fields, &config);
  ReadSamplingFields(&fields, &config.sampling);
  RefuseUnsupported(&fields);
  MELLOW_RETURN_IF_ERROR(fields.Finish());
  // transformers' own default, which saved files leave out.
  if (config.sampling.do_sample && !source->Has("top_k")) config.sampling.top_k = 50;
  SamplingParams checked = config.sampling;
  checked.max_new_tokens = kMostInt;  // lengths are cut to the server's
  MELLOW_RETURN_IF_ERROR(Annotate(checked.Validate(vocab_size), name));
  if (own_file) {
    fields.Harmless(kHarmless);
    for (const std::string& unknown : fields.Unknown())
      config.warnings.push_back(absl::StrCat(name, ": ", unknown));
    if (config.eos_token_ids.empty())
      config.warnings.push_back(
          absl::StrCat(name, ": no eos_token_id, so nothing but its length ends a generation"));
  }
  if (config.sampling.rules != nullptr)
    NoteRulesWithoutField(*config.sampling.rules, name, &config.warnings);
  return config;
}

SamplingParams GenerationConfig::Defaults(int default_length, int longest) const {
  SamplingParams params = sampling;
  params.max_new_tokens = std::min(max_new_tokens.value_or(default_length), longest);
  params.min_new_tokens = std::min(min_new_tokens.value_or(0), params.max_new_tokens);
  return params;
}

}  // namespace mellow::nn
