#include "common/text/tokenizer_config.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "nlohmann/json.hpp"

namespace mellow::text {
namespace {

using Json = nlohmann::json;

constexpr int kMaxExtraIds = 100000;

// The object in the file; an empty one if there is no such file. Members named in `skip` are not
// kept.
absl::StatusOr<Json> ReadJsonObject(const std::string& path,
                                    const std::vector<std::string>& skip = {}) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return Json::object();
  MELLOW_RETURN_IF_ERROR(text.status());
  const auto keep = [&](int depth, Json::parse_event_t event, Json& value) {
    return depth != 1 || event != Json::parse_event_t::key ||
           std::find(skip.begin(), skip.end(), value.get_ref<const std::string&>()) == skip.end();
  };
  Json json = Json::parse(*text, keep, /*allow_exceptions=*/false);
  if (!json.is_object())
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a JSON object"));
  return json;
}

absl::Status WrongField(absl::string_view path, absl::string_view field,
                        absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", field, " is not ", expected));
}

// nullopt: absent or null.
absl::StatusOr<std::optional<bool>> OptionalFlag(const Json& object, const char* field,
                                                 const std::string& path) {
  const auto it = object.find(field);
  if (it == object.end() || it->is_null()) return std::nullopt;
  if (!it->is_boolean()) return WrongField(path, field, "true or false");
  return it->get<bool>();
}

absl::StatusOr<bool> Flag(const Json& object, const char* field, const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::optional<bool> flag, OptionalFlag(object, field, path));
  return flag.value_or(false);
}

absl::StatusOr<AddedToken> ReadAddedToken(const std::string& key, const Json& json,
                                          const std::string& path) {
  const std::string field = absl::StrCat("added_tokens_decoder[", key, "]");
  AddedToken token;
  if (!absl::SimpleAtoi(key, &token.id) || token.id < 0 || token.id >= kMaxVocabSize) {
    return WrongField(path, field, "named by a token id");
  }
  if (!json.is_object()) return WrongField(path, field, "an object");
  const auto content = json.find("content");
  if (content == json.end() || !content->is_string() ||
      content->get_ref<const std::string&>().empty()) {
    return WrongField(path, absl::StrCat(field, ".content"), "a string that is not empty");
  }
  token.content = content->get<std::string>();
  MELLOW_ASSIGN_OR_RETURN(token.lstrip, Flag(json, "lstrip", path));
  MELLOW_ASSIGN_OR_RETURN(token.rstrip, Flag(json, "rstrip", path));
  MELLOW_ASSIGN_OR_RETURN(token.normalized, Flag(json, "normalized", path));
  MELLOW_ASSIGN_OR_RETURN(token.special, Flag(json, "special", path));
  MELLOW_ASSIGN_OR_RETURN(const bool single_word, Flag(json, "single_word", path));
  if (single_word) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", field, ".single_word: tokens that must be whole words are not supported"));
  }
  return token;
}

absl::Status ReadTokenizerConfigJson(const std::string& path, TokenizerConfig* config) {
  MELLOW_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(path));
  if (const auto it = json.find("added_tokens_decoder"); it != json.end() && !it->is_null()) {
    if (!it->is_object()) return WrongField(path, "added_tokens_decoder", "an object");
    for (const auto& [key, value] : it->items()) {
      MELLOW_ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(key, value, path));
      config->added_tokens.push_back(std::move(token));
    }
  }
  if (const auto it = json.find("extra_ids"); it != json.end() && !it->is_null()) {
    if (!it->is_number_integer() || *it < 0 || *it > kMaxExtraIds) {
      return WrongField(path, "extra_ids", absl::StrCat("a number from 0 to ", kMaxExtraIds));
    }
    config->extra_ids = it->get<int>();
  }
  MELLOW_ASSIGN_OR_RETURN(config->add_prefix_space, OptionalFlag(json, "add_prefix_space", path));
  return absl::OkStatus();
}

// Calls visit(type, step) for a normalizer or pre_tokenizer of tokenizer.json, or for the members
// of a Sequence of them.
template <typename Visit>
void ForEachStep(const Json& json, Visit visit) {
  if (!json.is_object()) return;
  for (const char* list : {"normalizers", "pretokenizers"}) {
    if (const auto it = json.find(list); it != json.end() && it->is_array()) {
      for (const Json& step : *it) ForEachStep(step, visit);
    }
  }
  if (const auto it = json.find("type"); it != json.end() && it->is_string()) {
    visit(it->get_ref<const std::string&>(), json);
  }
}

absl::Status ReadTokenizerJson(const std::string& path, TokenizerConfig* config) {
  MELLOW_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(path, {"model", "added_tokens"}));
  config->has_tokenizer_json = !json.empty();
  for (const char* field : {"normalizer", "pre_tokenizer"}) {
    const auto it = json.find(field);
    if (it == json.end()) continue;
    ForEachStep(*it, [&](const std::string& type, const Json& step) {
      const auto right = step.find("strip_right");
      if (type == "Strip" && right != step.end() && *right == true) config->strip_right = true;
      if (type == "WhitespaceSplit") config->split_whitespace = true;
    });
  }
  return absl::OkStatus();
}

absl::Status ReadConfigJson(const std::string& path, TokenizerConfig* config) {
  MELLOW_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(path));
  const auto it = json.find("vocab_size");
  if (it == json.end()) return absl::OkStatus();
  if (!it->is_number_integer() || *it < 1 || *it > kMaxVocabSize) {
    return WrongField(path, "vocab_size", absl::StrCat("a number from 1 to ", kMaxVocabSize));
  }
  config->model_vocab_size = it->get<int32_t>();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const std::string& folder) {
  TokenizerConfig config;
  MELLOW_RETURN_IF_ERROR(ReadTokenizerConfigJson(folder + "/tokenizer_config.json", &config));
  MELLOW_RETURN_IF_ERROR(ReadTokenizerJson(folder + "/tokenizer.json", &config));
  MELLOW_RETURN_IF_ERROR(ReadConfigJson(folder + "/config.json", &config));
  return config;
}

std::vector<AddedToken> MergeAddedTokens(std::vector<AddedToken> tokens,
                                         const TokenizerConfig& config) {
  for (const AddedToken& added : config.added_tokens) {
    const auto same = std::find_if(tokens.begin(), tokens.end(), [&](const AddedToken& token) {
      return token.content == added.content;
    });
    if (same == tokens.end()) {
      tokens.push_back(added);
    } else {
      *same = added;
    }
  }
  return tokens;
}

}  // namespace mellow::text
