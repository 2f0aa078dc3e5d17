#include "common/text/files/tokenizer_config.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/json/fields.h"
#include "common/text/files/tokenizer_json.h"
#include "common/text/files/tokenizer_number.h"

namespace mellow::text {
namespace {

using json::FieldReader;

constexpr int kMaxExtraIds = 100000;

// The object in the file; an empty one if there is no such file.
absl::StatusOr<json::Value> ReadObject(const FileMap& files, const std::string& folder,
                                       const char* name) {
  const auto file = files.find(name);
  if (file == files.end()) return json::Value::MakeObject();
  return json::ParseObject(file->second, absl::StrCat(folder, "/", name), kTokenizerJson);
}

// nullopt: a class of another family.
std::optional<TokenizerClass> ClassOf(absl::string_view name) {
  name = absl::StripSuffix(name, "Fast");
  if (name == "T5Tokenizer" || name == "MT5Tokenizer") return TokenizerClass::kT5;
  if (name == "RobertaTokenizer") return TokenizerClass::kRoberta;
  if (name == "PreTrainedTokenizer" || name == "TokenizersBackend") return TokenizerClass::kAnyJson;
  return std::nullopt;
}

// `always_special`: the file is one of special tokens alone.
absl::StatusOr<SpecialToken> ReadSpecialToken(const json::Value& value, const std::string& name,
                                              bool always_special) {
  SpecialToken special;
  if (value.is_string()) {
    special.token.content = value.string();
    return special;
  }
  MELLOW_ASSIGN_OR_RETURN(special.token, ReadAddedToken(value, name));
  special.has_flags = true;
  if (always_special) {
    special.token.special = true;
    // Unless the file says otherwise, special tokens are looked for in the raw text.
    special.token.normalized = value["normalized"].boolean();
  }
  return special;
}

absl::Status ReadSpecialTokens(FieldReader* part, bool always_special, TokenizerConfig* config) {
  for (size_t role = 0; role < kSpecialRoles.size(); ++role) {
    const json::Value* value = part->Find(kSpecialRoles[role]);
    if (value == nullptr) continue;
    MELLOW_ASSIGN_OR_RETURN(
        config->special[role],
        ReadSpecialToken(*value, absl::StrCat(part->name(), ": ", kSpecialRoles[role]),
                         always_special));
  }
  const json::Value* list = part->Find("additional_special_tokens");
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array()) {
    part->Reject("additional_special_tokens", "an array");
    return absl::OkStatus();
  }
  auto& tokens = config->additional_special_tokens;
  if (!tokens.has_value()) tokens.emplace();
  for (const json::Value& value : list->elements()) {
    MELLOW_ASSIGN_OR_RETURN(
        SpecialToken token,
        ReadSpecialToken(value, absl::StrCat(part->name(), ": additional_special_tokens"),
                         always_special));
    const bool known = std::any_of(tokens->begin(), tokens->end(), [&](const SpecialToken& other) {
      return other.has_flags == token.has_flags && other.token == token.token;
    });
    if (!known) tokens->push_back(std::move(token));
  }
  return absl::OkStatus();
}

// model_max_length may be beyond any integer: transformers writes 1e30 for none.
void ReadMaxLength(FieldReader* part, TokenizerConfig* config) {
  for (const char* field : {"model_max_length", "max_len"}) {
    const json::Value* value = part->Find(field);
    if (value == nullptr) continue;
    if (!value->is_number() || value->number() < 1) {
      part->Reject(field, "a number from 1");
    } else if (config->model_max_length == 0 && value->number() < INT32_MAX) {
      config->model_max_length = static_cast<int>(value->number());
    }
  }
}

absl::Status ReadTokenizerConfigJson(const json::Value& value, const std::string& name,
                                     TokenizerConfig* config) {
  FieldReader part(value, name);
  if (const json::Value* decoder = part.Find("added_tokens_decoder")) {
    if (!decoder->is_object()) {
      part.Reject("added_tokens_decoder", "an object");
      return part.Finish();
    }
    for (const auto& [key, value] : decoder->members()) {
      const std::string field = absl::StrCat(name, ": added_tokens_decoder[", key, "]");
      int32_t id = 0;
      if (!absl::SimpleAtoi(key, &id) || id < 0 || id >= kMaxVocabSize) {
        return absl::InvalidArgumentError(absl::StrCat(field, " is not named by a token id"));
      }
      MELLOW_ASSIGN_OR_RETURN(config->added_tokens[id], ReadAddedToken(value, field));
    }
  }
  config->extra_ids = part.OptionalInt("extra_ids", 0, kMaxExtraIds);
  config->add_prefix_space = part.OptionalBool("add_prefix_space");
  config->legacy = part.BoolOr("legacy", true);
  config->split_special_tokens = part.BoolOr("split_special_tokens", false);
  config->clean_up_spaces = part.BoolOr("clean_up_tokenization_spaces", false);
  if (const auto side = part.OptionalString("truncation_side")) {
    config->truncate_left = *side == "left";
    if (*side != "left" && *side != "right") part.Reject("truncation_side", "left or right");
  }
  ReadMaxLength(&part, config);
  if (const json::Value* files = part.Find("fast_tokenizer_files");
      files != nullptr && *files != json::Value(json::Array{"tokenizer.json"})) {
    part.Reject("fast_tokenizer_files", "[\"tokenizer.json\"]");
  }
  MELLOW_RETURN_IF_ERROR(ReadSpecialTokens(&part, /*always_special=*/false, config));
  // What the fast tokenizers do not look at, or not when a text is encoded or decoded.
  part.Harmless({"tokenizer_class"});  // ReadTokenizerClass
  part.Harmless({"errors", "trim_offsets", "do_lower_case", "sp_model_kwargs", "unk_id"});
  part.Harmless({"extra_special_tokens", "model_specific_special_tokens", "chat_template",
                 "model_input_names", "processor_class"});
  part.Harmless({"padding", "padding_side", "pad_to_multiple_of", "pad_token_type_id", "max_length",
                 "stride", "truncation", "truncation_strategy", "return_token_type_ids"});
  part.Harmless({"add_bos_token", "add_eos_token", "from_slow", "use_fast", "backend", "auto_map"});
  part.Harmless({"name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file",
                 "merges_file", "cache_dir", "is_local", "local_files_only", "revision",
                 "trust_remote_code"});
  for (const std::string& unknown : part.Unknown())
    config->warnings.push_back(absl::StrCat(name, ": ", unknown));
  return part.Finish();
}

// The folders of before added_tokens_decoder.
absl::Status ReadOlderFiles(const FileMap& files, const std::string& folder,
                            const Pipeline* pipeline, TokenizerConfig* config) {
  const std::string map_name = folder + "/special_tokens_map.json";
  MELLOW_ASSIGN_OR_RETURN(const json::Value map,
                          ReadObject(files, folder, "special_tokens_map.json"));
  FieldReader part(map, map_name);
  MELLOW_RETURN_IF_ERROR(ReadSpecialTokens(&part, /*always_special=*/true, config));
  MELLOW_RETURN_IF_ERROR(part.Finish());

  const auto is_special = [&](const std::string& content) {
    for (const auto& special : config->special) {
      if (special.has_value() && special->token.content == content) return true;
    }
    const auto& more = config->additional_special_tokens;
    return more.has_value() && std::any_of(more->begin(), more->end(), [&](const auto& special) {
             return special.token.content == content;
           });
  };
  MELLOW_ASSIGN_OR_RETURN(const json::Value added, ReadObject(files, folder, "added_tokens.json"));
  for (const auto& [content, id] : added.members()) {
    int32_t number = 0;
    if (content.empty() || !id.To(&number) || number < 0 || number >= kMaxVocabSize) {
      return absl::InvalidArgumentError(absl::StrCat(folder, "/added_tokens.json: \"", content,
                                                     "\" is ", json::Excerpt(id),
                                                     ", expected a text and its token id"));
    }
    const bool special = is_special(content);
    config->added_tokens[number] = {.content = content, .normalized = !special, .special = special};
  }
  if (pipeline == nullptr) return absl::OkStatus();
  for (const auto& [id, token] : pipeline->added.by_id()) config->added_tokens[id] = token;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<TokenizerClass>> ReadTokenizerClass(const FileMap& files,
                                                                 const std::string& folder) {
  for (const char* name : {"tokenizer_config.json", "config.json"}) {
    MELLOW_ASSIGN_OR_RETURN(const json::Value file, ReadObject(files, folder, name));
    FieldReader part(file, absl::StrCat(folder, "/", name));
    if (const auto found = part.OptionalString("tokenizer_class")) {
      if (const auto known = ClassOf(*found)) return known;
      part.Reject("tokenizer_class",
                  "T5Tokenizer, MT5Tokenizer, RobertaTokenizer, PreTrainedTokenizerFast or "
                  "TokenizersBackend");
    }
    // tokenizer_config.json has no model_type.
    if (const auto type = part.OptionalString("model_type");
        type.has_value() && part.Finish().ok()) {
      if (*type == "t5" || *type == "mt5" || *type == "umt5") return TokenizerClass::kT5;
      if (*type == "roberta") return TokenizerClass::kRoberta;
      part.Reject("model_type", "t5, mt5, umt5 or roberta, where no tokenizer_class says more");
    }
    MELLOW_RETURN_IF_ERROR(part.Finish());
  }
  return std::nullopt;
}

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const FileMap& files, const std::string& folder,
                                                    const Pipeline* pipeline) {
  TokenizerConfig config;
  const std::string name = folder + "/tokenizer_config.json";
  MELLOW_ASSIGN_OR_RETURN(const json::Value file,
                          ReadObject(files, folder, "tokenizer_config.json"));
  MELLOW_RETURN_IF_ERROR(ReadTokenizerConfigJson(file, name, &config));
  if (!file.Has("added_tokens_decoder")) {
    MELLOW_RETURN_IF_ERROR(ReadOlderFiles(files, folder, pipeline, &config));
  }
  MELLOW_ASSIGN_OR_RETURN(const json::Value model, ReadObject(files, folder, "config.json"));
  FieldReader part(model, folder + "/config.json");
  config.model_vocab_size = part.OptionalInt("vocab_size", 1, kMaxVocabSize).value_or(0);
  MELLOW_RETURN_IF_ERROR(part.Finish());

  // A special token that is written as a text has the flags that the same file, or tokenizer.json,
  // gives the added token of that text.
  const bool own = file.Has("added_tokens_decoder");
  if (!own && pipeline == nullptr) return config;
  for (const auto& [id, token] : own ? config.added_tokens : pipeline->added.by_id()) {
    for (std::optional<SpecialToken>& special : config.special) {
      if (special.has_value() && special->token.content == token.content) {
        special = SpecialToken{.token = token, .has_flags = true};
      }
    }
  }
  return config;
}

}  // namespace mellow::text
