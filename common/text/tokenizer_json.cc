#include "common/text/tokenizer_json.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/text/utf8.h"

namespace mellow::text {
namespace {

constexpr int kMaxNesting = 8;  // of Sequences

absl::Status NotImplemented(const JsonObject& part, absl::string_view type) {
  return absl::InvalidArgumentError(
      absl::StrCat(part.name(), ": type \"", absl::Utf8SafeCEscape(type), "\" is not implemented"));
}

// Visits a part, or where it is a Sequence those of its `list`, in order.
absl::Status ForEachStep(const Json& json, const std::string& name, const char* list, int depth,
                         absl::FunctionRef<absl::Status(JsonObject*, const std::string&)> visit) {
  JsonObject part(json, name);
  const std::string type = part.String("type", "");
  if (type != "Sequence") {
    MELLOW_RETURN_IF_ERROR(part.status());
    MELLOW_RETURN_IF_ERROR(visit(&part, type));
    part.ForbidOthers();
    return part.status();
  }
  const Json* steps = part.Find(list);
  if (steps == nullptr || !steps->is_array()) part.Reject(list, "an array");
  if (depth == 0) part.Reject("type", "fewer Sequences inside one another");
  part.ForbidOthers();
  MELLOW_RETURN_IF_ERROR(part.status());
  for (size_t i = 0; i < steps->size(); ++i) {
    MELLOW_RETURN_IF_ERROR(ForEachStep((*steps)[i], absl::StrCat(name, ".", list, "[", i, "]"),
                                       list, depth - 1, visit));
  }
  return absl::OkStatus();
}

// {"String": "x"}, or the one expression that tokenizers of these families have: {"Regex": "
// {2,}"}, which Replace has as an empty pattern.
void ReadPattern(JsonObject* part, std::string* pattern) {
  constexpr const char* kExpected = "{\"String\": TEXT} or {\"Regex\": \" {2,}\"}";
  const Json* json = part->Find("pattern");
  if (json == nullptr || !json->is_object() || json->size() != 1 || !json->begin()->is_string()) {
    return part->Reject("pattern", kExpected);
  }
  const std::string& text = json->begin()->get_ref<const std::string&>();
  if (json->begin().key() == "String" && !text.empty()) {
    *pattern = text;
  } else if (json->begin().key() != "Regex" || text != " {2,}") {
    part->Reject("pattern", kExpected);
  }
}

absl::Status ReadNormalizer(const Json& json, const std::string& name, Normalizer* normalizer) {
  return ForEachStep(
      json, name, "normalizers", kMaxNesting,
      [&](JsonObject* part, const std::string& type) -> absl::Status {
        if (type == "Precompiled") {
          std::string blob;
          if (!absl::Base64Unescape(part->String("precompiled_charsmap", "?"), &blob)) {
            part->Reject("precompiled_charsmap", "base64");
            return absl::OkStatus();
          }
          absl::StatusOr<Charsmap> charsmap = Charsmap::Parse(blob);
          if (!charsmap.ok()) return Annotate(charsmap.status(), part->name());
          normalizer->Append(*std::move(charsmap));
        } else if (type == "Strip") {
          normalizer->Append(Strip{.left = part->Bool("strip_left", false),
                                   .right = part->Bool("strip_right", false)});
        } else if (type == "Replace") {
          Replace replace;
          ReadPattern(part, &replace.pattern);
          replace.content = part->String("content", "");
          normalizer->Append(std::move(replace));
        } else if (type == "Prepend") {
          normalizer->Append(Prepend{.prefix = part->String("prepend", "")});
        } else {
          return NotImplemented(*part, type);
        }
        return absl::OkStatus();
      });
}

// Reads the Metaspace of a pre_tokenizer or a decoder.
Metaspace ReadMetaspace(JsonObject* part) {
  Metaspace metaspace;
  metaspace.replacement = part->String("replacement", "");
  if (CountCodePoints(metaspace.replacement) != 1) part->Reject("replacement", "one character");
  const std::string scheme = part->String("prepend_scheme", "always");
  if (scheme == "first") {
    metaspace.prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never") {
    metaspace.prepend = Metaspace::Prepend::kNever;
  } else if (scheme != "always") {
    part->Reject("prepend_scheme", "always, first or never");
  }
  // How files said it before prepend_scheme; true says nothing beside one.
  if (!part->Bool("add_prefix_space", true) && scheme != "never") {
    part->Reject("add_prefix_space", "prepend_scheme never beside false");
  }
  metaspace.split = part->Bool("split", true);
  part->Ignore({"str_rep"});
  return metaspace;
}

// Options of ByteLevel that only concern offsets, or other parts than the one they stand in.
void IgnoreOffsets(JsonObject* part) { part->Ignore({"trim_offsets"}); }

absl::Status ReadPreTokenizer(const Json& json, const std::string& name, PreTokenizer* out) {
  bool bytes = false;
  MELLOW_RETURN_IF_ERROR(ForEachStep(
      json, name, "pretokenizers", kMaxNesting,
      [&](JsonObject* part, const std::string& type) -> absl::Status {
        if (bytes) part->Reject("type", "nothing behind ByteLevel");
        if (type == "WhitespaceSplit") {
          out->Append(WhitespaceSplit{});
        } else if (type == "Metaspace") {
          out->Append(ReadMetaspace(part));
        } else if (type == "ByteLevel") {
          bytes = true;
          out->Append(ByteLevelSplit{.add_prefix_space = part->Bool("add_prefix_space", true),
                                     .use_regex = part->Bool("use_regex", true)});
          IgnoreOffsets(part);
        } else {
          return NotImplemented(*part, type);
        }
        return absl::OkStatus();
      }));
  return absl::OkStatus();
}

absl::Status ReadDecoder(const Json& json, const std::string& name, Decoder* decoder) {
  return ForEachStep(json, name, "decoders", kMaxNesting,
                     [&](JsonObject* part, const std::string& type) -> absl::Status {
                       if (type == "Metaspace") {
                         Metaspace metaspace = ReadMetaspace(part);
                         decoder->Append(MetaspaceDecoder{
                             .replacement = std::move(metaspace.replacement),
                             .drop_first = metaspace.prepend != Metaspace::Prepend::kNever});
                       } else if (type == "ByteLevel") {
                         IgnoreOffsets(part);
                         part->Ignore({"add_prefix_space", "use_regex"});
                         decoder->Append(ByteLevelDecoder{});
                       } else if (type == "ByteFallback") {
                         decoder->Append(ByteFallbackDecoder{});
                       } else if (type == "Fuse") {
                         decoder->Append(FuseDecoder{});
                       } else {
                         return NotImplemented(*part, type);
                       }
                       return absl::OkStatus();
                     });
}

// A template's list of texts and special tokens. `want_pair`: it has both texts, else the first.
absl::StatusOr<Frame> ReadTemplate(JsonObject* part, const char* field, bool want_pair) {
  Frame frame;
  const Json* list = part->Find(field);
  const Json* specials = part->Find("special_tokens");
  bool good = list != nullptr && list->is_array();
  std::string texts;  // those seen so far
  for (size_t i = 0; good && i < list->size(); ++i) {
    const Json& item = (*list)[i];
    good = item.is_object() && item.size() == 1 && item.begin()->is_object() &&
           item.begin()->contains("id") && (*item.begin())["id"].is_string();
    if (!good) break;
    const std::string& id = (*item.begin())["id"].get_ref<const std::string&>();
    if (item.begin().key() == "Sequence") {
      texts += id;
      continue;
    }
    good = item.begin().key() == "SpecialToken" && specials != nullptr && specials->is_object() &&
           specials->contains(id) && (*specials)[id].is_object() &&
           (*specials)[id].contains("ids") && (*specials)[id]["ids"].is_array();
    if (!good) break;
    for (const Json& token : (*specials)[id]["ids"]) {
      good = good && token.is_number_integer() && token >= 0 && token < kMaxVocabSize;
      if (!good) break;
      std::vector<int32_t>& place = texts.empty()                    ? frame.before
                                    : want_pair && texts.size() == 1 ? frame.between
                                                                     : frame.behind;
      place.push_back(token.get<int32_t>());
    }
  }
  if (!good || texts != (want_pair ? "AB" : "A")) {
    part->Reject(field, want_pair ? "a template of text A, then B, between special tokens"
                                  : "a template of text A between special tokens");
  }
  return frame;
}

// ["</s>", 2]
int32_t ReadTokenAndId(JsonObject* part, const char* field) {
  const Json* json = part->Find(field);
  if (json != nullptr && json->is_array() && json->size() == 2 && (*json)[0].is_string() &&
      (*json)[1].is_number_integer() && (*json)[1] >= 0 && (*json)[1] < kMaxVocabSize) {
    return (*json)[1].get<int32_t>();
  }
  part->Reject(field, "a token and its id");
  return 0;
}

absl::Status ReadPostProcessor(const Json& json, const std::string& name, Pipeline* out) {
  bool framed = false;
  return ForEachStep(json, name, "processors", kMaxNesting,
                     [&](JsonObject* part, const std::string& type) -> absl::Status {
                       if (type == "ByteLevel") {  // it moves offsets only
                         IgnoreOffsets(part);
                         part->Ignore({"add_prefix_space", "use_regex"});
                         return absl::OkStatus();
                       }
                       if (framed) part->Reject("type", "one part that adds special tokens");
                       framed = true;
                       if (type == "TemplateProcessing") {
                         MELLOW_ASSIGN_OR_RETURN(out->single, ReadTemplate(part, "single", false));
                         MELLOW_ASSIGN_OR_RETURN(out->pair, ReadTemplate(part, "pair", true));
                       } else if (type == "RobertaProcessing" || type == "BertProcessing") {
                         const int32_t sep = ReadTokenAndId(part, "sep"),
                                       cls = ReadTokenAndId(part, "cls");
                         out->single = {.before = {cls}, .between = {}, .behind = {sep}};
                         out->pair = {.before = {cls}, .between = {sep}, .behind = {sep}};
                         if (type == "RobertaProcessing") {
                           out->pair.between.push_back(sep);
                           IgnoreOffsets(part);
                           part->Ignore({"add_prefix_space"});
                         }
                       } else {
                         return NotImplemented(*part, type);
                       }
                       return absl::OkStatus();
                     });
}

absl::Status ReadUnigram(JsonObject* part, Pipeline* out) {
  const Json* vocab = part->Find("vocab");
  if (vocab == nullptr || !vocab->is_array() || vocab->empty() ||
      vocab->size() > static_cast<size_t>(kMaxVocabSize)) {
    part->Reject("vocab", absl::StrCat("an array of 1 to ", kMaxVocabSize, " pieces"));
    return part->status();
  }
  const int size = static_cast<int>(vocab->size());
  const auto unk_id = part->OptionalInt("unk_id", 0, size - 1);
  if (!unk_id.has_value()) part->Reject("unk_id", "the id of a piece");
  const bool byte_fallback = part->Bool("byte_fallback", false);
  part->ForbidOthers();
  MELLOW_RETURN_IF_ERROR(part->status());
  std::vector<Unigram::Piece> pieces;
  pieces.reserve(vocab->size());
  for (const Json& entry : *vocab) {
    const int32_t id = static_cast<int32_t>(pieces.size());
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return absl::InvalidArgumentError(absl::StrCat(part->name(), ": vocab[", id, "] is ",
                                                     Excerpt(entry), ", not a text and a score"));
    }
    const std::string& text = entry[0].get_ref<const std::string&>();
    pieces.push_back({text, entry[1].get<double>(), id});
    out->pieces.push_back(text);
    out->vocabulary.ids[text] = id;
  }
  out->vocabulary.size = size;
  out->model.emplace(Unigram(std::move(pieces), *unk_id, byte_fallback));
  return absl::OkStatus();
}

absl::StatusOr<Bpe::Merges> ReadMerges(JsonObject* part) {
  Bpe::Merges merges;
  const Json* json = part->Find("merges");
  if (json == nullptr || !json->is_array()) {
    part->Reject("merges", "an array");
    return merges;
  }
  for (const Json& entry : *json) {
    // "a b" until 2024, ["a", "b"] since.
    if (entry.is_string()) {
      std::vector<std::string> parts = absl::StrSplit(entry.get_ref<const std::string&>(), ' ');
      if (parts.size() == 2) {
        merges.emplace_back(std::move(parts[0]), std::move(parts[1]));
        continue;
      }
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(part->name(), ": merges[", merges.size(),
                                                   "] is ", Excerpt(entry), ", not a pair"));
  }
  return merges;
}

absl::Status ReadBpe(JsonObject* part, Pipeline* out) {
  const Json* vocab = part->Find("vocab");
  if (vocab == nullptr) part->Reject("vocab", "an object");
  const Json* dropout = part->Find("dropout");
  if (dropout != nullptr && *dropout != Json(0))
    part->Reject("dropout", "null or 0: it draws at random");
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!part->String(field, "").empty()) part->Reject(field, "\"\"");
  }
  if (part->Bool("byte_fallback", false)) part->Reject("byte_fallback", "false");
  Bpe::Options options;
  options.fuse_unk = part->Bool("fuse_unk", false);
  options.ignore_merges = part->Bool("ignore_merges", false);
  const auto unk_token = part->OptionalString("unk_token");
  MELLOW_ASSIGN_OR_RETURN(const Bpe::Merges merges, ReadMerges(part));
  part->ForbidOthers();
  MELLOW_RETURN_IF_ERROR(part->status());
  MELLOW_RETURN_IF_ERROR(ReadVocab(*vocab, absl::StrCat(part->name(), ": vocab"), out));
  if (unk_token.has_value()) {
    const auto unk = out->vocabulary.ids.find(*unk_token);
    if (unk == out->vocabulary.ids.end()) {
      part->Reject("unk_token", "a text of the vocabulary");
      return part->status();
    }
    options.unk_id = unk->second;
  }
  absl::StatusOr<Bpe> bpe = Bpe::Create(out->vocabulary.ids, merges, options);
  if (!bpe.ok()) return Annotate(bpe.status(), part->name());
  out->model.emplace(*std::move(bpe));
  return absl::OkStatus();
}

absl::Status ReadModel(const Json& json, const std::string& name, Pipeline* out) {
  JsonObject part(json, name);
  // Files of old do not name the type.
  std::string type = part.String("type", "");
  if (type.empty() && part.Find("unk_id") != nullptr) type = "Unigram";
  if (type.empty() && part.Find("merges") != nullptr) type = "BPE";
  const std::vector<PreTokenizer::Step>& steps = out->pre_tokenizer.steps();
  const bool bytes = !steps.empty() && std::holds_alternative<ByteLevelSplit>(steps.back());
  if (type == "Unigram") {
    if (bytes) part.Reject("type", "BPE behind the pre_tokenizer ByteLevel");
    MELLOW_RETURN_IF_ERROR(part.status());
    return ReadUnigram(&part, out);
  }
  if (type == "BPE") {
    if (!bytes) part.Reject("type", "the pre_tokenizer ByteLevel before BPE");
    MELLOW_RETURN_IF_ERROR(part.status());
    return ReadBpe(&part, out);
  }
  MELLOW_RETURN_IF_ERROR(part.status());
  return NotImplemented(part, type);
}

absl::Status ReadAddedTokens(const Json& json, const std::string& name, Pipeline* out) {
  if (!json.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", Excerpt(json), ", expected an array"));
  }
  for (size_t i = 0; i < json.size(); ++i) {
    // The id is not read: the tokenizers library numbers the tokens by their order too.
    MELLOW_ASSIGN_OR_RETURN(const AddedToken token,
                            ReadAddedToken(json[i], absl::StrCat(name, "[", i, "]")));
    out->Add(token);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadVocab(const Json& json, const std::string& name, Pipeline* out) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a JSON object"));
  }
  std::vector<bool> seen;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer() || id < 0 || id >= kMaxVocabSize) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": the id of \"", token, "\" is not a number from 0 to ", kMaxVocabSize - 1));
    }
    const size_t index = id.get<size_t>();
    if (index >= seen.size()) {
      seen.resize(index + 1, false);
      out->pieces.resize(index + 1);
    }
    if (seen[index]) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": two tokens have the id ", index));
    }
    seen[index] = true;
    out->pieces[index] = token;
    out->vocabulary.ids[token] = static_cast<int32_t>(index);
  }
  out->vocabulary.size = static_cast<int32_t>(out->vocabulary.ids.size());
  return absl::OkStatus();
}

absl::StatusOr<AddedToken> ReadAddedToken(const Json& json, const std::string& name) {
  JsonObject part(json, name);
  AddedToken token;
  token.content = part.String("content", "");
  if (token.content.empty()) part.Reject("content", "a string that is not empty");
  token.special = part.Bool("special", false);
  token.single_word = part.Bool("single_word", false);
  token.lstrip = part.Bool("lstrip", false);
  token.rstrip = part.Bool("rstrip", false);
  token.normalized = part.Bool("normalized", !token.special);
  part.Ignore({"id", "__type"});
  part.ForbidOthers();
  MELLOW_RETURN_IF_ERROR(part.status());
  return token;
}

absl::StatusOr<Pipeline> ParseTokenizerJson(absl::string_view text, const std::string& name) {
  MELLOW_ASSIGN_OR_RETURN(const Json json, ParseJson(text, name));
  Pipeline out;
  JsonObject file(json, name);
  if (file.String("version", "1.0") != "1.0") file.Reject("version", "\"1.0\"");
  if (const Json* truncation = file.Find("truncation")) {
    JsonObject part(*truncation, absl::StrCat(name, ": truncation"));
    out.truncate_left = part.String("direction", "Right") == "Left";
    MELLOW_RETURN_IF_ERROR(part.status());
  }
  const auto read = [&](const char* field, const auto& reader) -> absl::Status {
    const Json* part = file.Find(field);
    return part == nullptr ? absl::OkStatus() : reader(*part, absl::StrCat(name, ": ", field));
  };
  MELLOW_RETURN_IF_ERROR(read("normalizer", [&](const Json& part, const std::string& where) {
    return ReadNormalizer(part, where, &out.normalizer);
  }));
  MELLOW_RETURN_IF_ERROR(read("pre_tokenizer", [&](const Json& part, const std::string& where) {
    return ReadPreTokenizer(part, where, &out.pre_tokenizer);
  }));
  if (file.Find("model") == nullptr) file.Reject("model", "an object");
  MELLOW_RETURN_IF_ERROR(read("model", [&](const Json& part, const std::string& where) {
    return ReadModel(part, where, &out);
  }));
  MELLOW_RETURN_IF_ERROR(read("added_tokens", [&](const Json& part, const std::string& where) {
    return ReadAddedTokens(part, where, &out);
  }));
  MELLOW_RETURN_IF_ERROR(read("post_processor", [&](const Json& part, const std::string& where) {
    return ReadPostProcessor(part, where, &out);
  }));
  MELLOW_RETURN_IF_ERROR(read("decoder", [&](const Json& part, const std::string& where) {
    return ReadDecoder(part, where, &out.decoder);
  }));
  file.Ignore({"padding"});
  file.ForbidOthers();
  MELLOW_RETURN_IF_ERROR(file.status());
  return out;
}

}  // namespace mellow::text
