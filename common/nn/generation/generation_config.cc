#include "common/nn/generation/generation_config.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/weights/json_fields.h"

namespace mellow::nn {
namespace {

using nlohmann::json;

constexpr int kMostInt = std::numeric_limits<int>::max();

// Change what is generated, are not implemented, and so must have a value that switches them off.
struct Unsupported {
  const char* name;
  json off;  // beside null
};
const std::vector<Unsupported>& UnsupportedFields() {
  static const auto& fields = *new std::vector<Unsupported>{{"num_beam_groups", 1},
                                                            {"diversity_penalty", 0},
                                                            {"penalty_alpha", 0},
                                                            {"num_return_sequences", 1},
                                                            {"min_p", 0},
                                                            {"typical_p", 1},
                                                            {"epsilon_cutoff", 0},
                                                            {"eta_cutoff", 0},
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
constexpr const char* kHarmless[] = {"use_cache",
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
                                     "bos_token_id",
                                     "eos_token_id",
                                     "pad_token_id",
                                     "decoder_start_token_id",
                                     "max_length",
                                     "min_length"};

// Whether config.json means to say something about generation, as transformers sees it.
bool HasLegacyFields(const json& model) {
  for (const auto& [name, value] : LegacyGenerationDefaults().items()) {
    const auto found = model.find(name);
    if (found != model.end() && !found->is_null() && *found != value) return true;
  }
  return false;
}

bool IsId(const json& value, int smallest) {
  return value.is_number_integer() && value >= smallest && value <= kMostInt;
}

// A list of ids, or where `one` says so a single one.
bool ReadIds(JsonFields* fields, const char* field, bool one, std::vector<int32_t>* ids) {
  const json* value = fields->Find(field);
  if (value == nullptr) return false;
  const json list = one && !value->is_array() ? json::array({*value}) : *value;
  if (!list.is_array() || list.size() > kMaxRuleIds ||
      !std::all_of(list.begin(), list.end(), [](const json& id) { return IsId(id, 0); })) {
    fields->Reject(field, one ? "a token id or a list of some" : "a list of token ids");
    return false;
  }
  *ids = list.get<std::vector<int32_t>>();
  return true;
}

void ReadBadWords(JsonFields* fields, LogitsRules* rules) {
  const json* value = fields->Find("bad_words_ids");
  if (value == nullptr) return;
  const auto is_word = [](const json& word) {
    return word.is_array() && word.size() <= kMaxRuleIds &&
           std::all_of(word.begin(), word.end(), [](const json& id) { return IsId(id, 0); });
  };
  if (!value->is_array() || value->size() > kMaxRuleIds ||
      !std::all_of(value->begin(), value->end(), is_word))
    return fields->Reject("bad_words_ids", "a list of lists of token ids");
  rules->bad_words_ids = value->get<std::vector<std::vector<int32_t>>>();
}

// [[[ids], bias], ...]
void ReadSequenceBias(JsonFields* fields, LogitsRules* rules) {
  const json* value = fields->Find("sequence_bias");
  if (value == nullptr) return;
  rules->sequence_bias.clear();
  constexpr char kForm[] = "a list of pairs of a list of token ids and a number";
  if (!value->is_array() || value->size() > kMaxRuleIds)
    return fields->Reject("sequence_bias", kForm);
  for (const json& pair : *value) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_array() || !pair[1].is_number() ||
        !std::all_of(pair[0].begin(), pair[0].end(), [](const json& id) { return IsId(id, 0); }))
      return fields->Reject("sequence_bias", kForm);
    rules->sequence_bias.emplace_back(pair[0].get<std::vector<int32_t>>(), pair[1].get<double>());
  }
}

void ReadExponentialDecay(JsonFields* fields, LogitsRules* rules) {
  constexpr char kName[] = "exponential_decay_length_penalty";
  const json* value = fields->Find(kName);
  if (value == nullptr) return;
  if (!value->is_array() || value->size() != 2 || !IsId((*value)[0], 0) || !(*value)[1].is_number())
    return fields->Reject(kName, "a pair of a number of tokens and a factor");
  rules->exponential_decay_start = (*value)[0].get<int>();
  rules->exponential_decay_factor = (*value)[1].get<double>();
}

void ReadEarlyStopping(JsonFields* fields, EarlyStopping* early_stopping) {
  const json* value = fields->Find("early_stopping");
  if (value == nullptr) return;
  if (value->is_boolean()) {
    *early_stopping = value->get<bool>() ? EarlyStopping::kTrue : EarlyStopping::kFalse;
  } else if (*value == "never") {
    *early_stopping = EarlyStopping::kNever;
  } else {
    fields->Reject("early_stopping", "true, false or \"never\"");
  }
}

void ReadRules(JsonFields* fields, LogitsRules* rules) {
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
  const json* forced_eos = fields->Find("forced_eos_token_id");
  if (forced_eos != nullptr && *forced_eos == -1) {
    rules->forced_eos_token_id.clear();
  } else {
    ReadIds(fields, "forced_eos_token_id", /*one=*/true, &rules->forced_eos_token_id);
  }
  ReadExponentialDecay(fields, rules);
  fields->Bool("renormalize_logits", &rules->renormalize_logits);
}

// Without lengths. What is absent stays.
void ReadSamplingFields(JsonFields* fields, SamplingParams* params) {
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

bool Contains(absl::Span<const std::string> names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void RefuseUnsupported(JsonFields* fields) {
  for (const Unsupported& field : UnsupportedFields()) {
    const json* value = fields->Find(field.name);
    if (value == nullptr || *value == field.off) continue;
    fields->Reject(field.name, field.off.is_null()
                                   ? "null (it is not implemented)"
                                   : absl::StrCat(field.off.dump(), " (it is not implemented)"));
  }
}

void ReadLengths(JsonFields* fields, GenerationConfig* config) {
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

std::optional<int32_t> ReadId(JsonFields* fields, const char* field, int vocab_size) {
  int id = -1;
  // A list is one start token for each row of a batch; of one it is the same.
  const json* value = fields->Find(field);
  if (value != nullptr && value->is_array() && value->size() == 1 && IsId((*value)[0], 0) &&
      (*value)[0] < vocab_size) {
    return (*value)[0].get<int32_t>();
  }
  fields->Int(field, 0, vocab_size - 1, &id);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

void ReadTokens(JsonFields* fields, int vocab_size, GenerationConfig* config) {
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

const json& LegacyGenerationDefaults() {
  static const auto& defaults = *new json{{"max_length", 20},
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
                                                           "renormalize_logits"};
  return names;
}

bool IsUnsupportedGenerationField(absl::string_view name) {
  return std::any_of(UnsupportedFields().begin(), UnsupportedFields().end(),
                     [&](const Unsupported& field) { return name == field.name; });
}

absl::StatusOr<SamplingParams> ReadSampling(const json& request, const SamplingParams& defaults,
                                            int vocab_size) {
  SamplingParams params = defaults;
  JsonFields fields(request);
  ReadSamplingFields(&fields, &params);
  fields.Int("min_new_tokens", 0, kMostInt, &params.min_new_tokens);
  const bool has_min = fields.Find("min_new_tokens") != nullptr;
  if (has_min) params.max_new_tokens = std::max(params.max_new_tokens, params.min_new_tokens);
  fields.Int("max_new_tokens", 1, kMostInt, &params.max_new_tokens);
  // A model's usual least length gives way to a shorter answer that is asked for.
  if (!has_min) params.min_new_tokens = std::min(params.min_new_tokens, params.max_new_tokens);
  MELLOW_RETURN_IF_ERROR(fields.Finish("the request"));
  MELLOW_RETURN_IF_ERROR(params.Validate(vocab_size));
  return params;
}

absl::StatusOr<GenerationConfig> ParseGenerationConfig(const json& model,
                                                       absl::string_view model_name,
                                                       const std::optional<NamedText>& file,
                                                       int vocab_size) {
  GenerationConfig config;
  json source = model;
  absl::string_view name = model_name;
  if (file.has_value()) {
    MELLOW_ASSIGN_OR_RETURN(json own, ParseJsonObject(file->text, file->name));
    const auto derived = own.find("_from_model_config");
    if (derived != own.end() && *derived == true && HasLegacyFields(model)) {
      config.warnings.push_back(absl::StrCat(file->name, " is left aside: it was made from ",
                                             model_name,
                                             ", which has fields of generation itself"));
    } else {
      source = std::move(own);
      name = file->name;
    }
  }
  const bool own_file = file.has_value() && name == file->name;
  JsonFields fields(source);
  if (!own_file && !source.contains("eos_token_id")) config.eos_token_ids = {1};  // T5Config's
  if (!own_file && !source.contains("pad_token_id")) config.pad_token_id = 0;
  const std::optional<int32_t> default_pad = config.pad_token_id;
  ReadTokens(&fields, vocab_size, &config);
  if (!config.pad_token_id) config.pad_token_id = default_pad;
  ReadLengths(&fields, &config);
  ReadSamplingFields(&fields, &config.sampling);
  RefuseUnsupported(&fields);
  MELLOW_RETURN_IF_ERROR(fields.Finish(name));
  // transformers' own default, which saved files leave out.
  if (config.sampling.do_sample && !source.contains("top_k")) config.sampling.top_k = 50;
  SamplingParams checked = config.sampling;
  checked.max_new_tokens = kMostInt;  // lengths are cut to the server's
  MELLOW_RETURN_IF_ERROR(Annotate(checked.Validate(vocab_size), name));
  if (own_file) {
    for (const auto& [key, value] : source.items()) {
      if (!Contains(SamplingFieldNames(), key) && !IsUnsupportedGenerationField(key) &&
          std::find(std::begin(kHarmless), std::end(kHarmless), key) == std::end(kHarmless))
        config.warnings.push_back(absl::StrCat(name, ": unknown field ", key.substr(0, 80)));
    }
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
