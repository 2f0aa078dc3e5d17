#include "common/text/files/tokenizer_json.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/json/fields.h"
#include "common/text/files/tokenizer_number.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

using json::FieldReader;

constexpr int kMaxNesting = 8;  // of Sequences

absl::Status NotImplemented(const FieldReader& part, absl::string_view type) {
  return absl::InvalidArgumentError(
      absl::StrCat(part.name(), ": type \"", absl::Utf8SafeCEscape(type), "\" is not implemented"));
}

// Visits a part, or where it is a Sequence those of its `list`, in order.
absl::Status ForEachStep(const json::Value& value, const std::string& name, const char* list,
                         int depth,
                         absl::FunctionRef<absl::Status(FieldReader*, const std::string&)> visit) {
  FieldReader part(value, name);
  const std::string type = part.StringOr("type", "");
  if (type != "Sequence") {
    MELLOW_RETURN_IF_ERROR(part.Finish());
    MELLOW_RETURN_IF_ERROR(visit(&part, type));
    part.ForbidUnknown();
    return part.Finish();
  }
  const json::Value* steps = part.Find(list);
  if (steps == nullptr || !steps->is_array()) part.Reject(list, "an array");
  if (depth == 0) part.Reject("type", "fewer Sequences inside one another");
  part.ForbidUnknown();
  MELLOW_RETURN_IF_ERROR(part.Finish());
  for (size_t i = 0; i < steps->size(); ++i) {
    MELLOW_RETURN_IF_ERROR(ForEachStep((*steps)[i], absl::StrCat(name, ".", list, "[", i, "]"),
                                       list, depth - 1, visit));
  }
  return absl::OkStatus();
}

// {"String": "x"}, or the one expression that tokenizers of these families have: {"Regex": "
// {2,}"}, which Replace has as an empty pattern.
void ReadPattern(FieldReader* part, std::string* pattern) {
  constexpr const char* kExpected = "{\"String\": TEXT} or {\"Regex\": \" {2,}\"}";
  const json::Value* value = part->Find("pattern");
  if (value == nullptr || value->members().size() != 1) return part->Reject("pattern", kExpected);
  const json::Member& only = value->members()[0];
  const std::string& text = only.value.string();
  if (only.name == "String" && !text.empty()) {
    *pattern = text;
  } else if (only.name != "Regex" || text != " {2,}") {
    part->Reject("pattern", kExpected);
  }
}

absl::Status ReadNormalizer(const json::Value& value, const std::string& name,
                            Normalizer* normalizer) {
  return ForEachStep(
      value, name, "normalizers", kMaxNesting,
      [&](FieldReader* part, const std::string& type) -> absl::Status {
        if (type == "Precompiled") {
          std::string blob;
          if (!absl::Base64Unescape(part->StringOr("precompiled_charsmap", "?"), &blob)) {
            part->Reject("precompiled_charsmap", "base64");
            return absl::OkStatus();
          }
          absl::StatusOr<Charsmap> charsmap = Charsmap::Parse(blob);
          if (!charsmap.ok()) return Annotate(charsmap.status(), part->name());
          normalizer->Append(*std::move(charsmap));
        } else if (type == "Strip") {
          normalizer->Append(Strip{.left = part->BoolOr("strip_left", false),
                                   .right = part->BoolOr("strip_right", false)});
        } else if (type == "Replace") {
          Replace replace;
          ReadPattern(part, &replace.pattern);
          replace.content = part->StringOr("content", "");
          normalizer->Append(std::move(replace));
        } else if (type == "Prepend") {
          normalizer->Append(Prepend{.prefix = part->StringOr("prepend", "")});
        } else {
          return NotImplemented(*part, type);
        }
        return absl::OkStatus();
      });
}

// Reads the Metaspace of a pre_tokenizer or a decoder.
Metaspace ReadMetaspace(FieldReader* part) {
  Metaspace metaspace;
  metaspace.replacement = part->StringOr("replacement", "");
  if (CountCodePoints(metaspace.replacement) != 1) part->Reject("replacement", "one character");
  const std::string scheme = part->StringOr("prepend_scheme", "always");
  if (scheme == "first") {
    metaspace.prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never") {
    metaspace.prepend = Metaspace::Prepend::kNever;
  } else if (scheme != "always") {
    part->Reject("prepend_scheme", "always, first or never");
  }
  // How files said it before prepend_scheme; true says nothing beside one.
  if (!part->BoolOr("add_prefix_space", true) && scheme != "never") {
    part->Reject("add_prefix_space", "prepend_scheme never beside false");
  }
  metaspace.split = part->BoolOr("split", true);
  part->Harmless({"str_rep"});
  return metaspace;
}

// Options of ByteLevel that only concern offsets, or other parts than the one they stand in.
void IgnoreOffsets(FieldReader* part) { part->Harmless({"trim_offsets"}); }

absl::Status ReadPreTokenizer(const json::Value& value, const std::string& name,
                              PreTokenizer* out) {
  bool bytes = false;
  MELLOW_RETURN_IF_ERROR(ForEachStep(
      value, name, "pretokenizers", kMaxNesting,
      [&](FieldReader* part, const std::string& type) -> absl::Status {
        if (bytes) part->Reject("type", "nothing behind ByteLevel");
        if (type == "WhitespaceSplit") {
          out->Append(WhitespaceSplit{});
        } else if (type == "Metaspace") {
          out->Append(ReadMetaspace(part));
        } else if (type == "ByteLevel") {
          bytes = true;
          out->Append(ByteLevelSplit{.add_prefix_space = part->BoolOr("add_prefix_space", true),
                                     .use_regex = part->BoolOr("use_regex", true)});
          IgnoreOffsets(part);
        } else {
          return NotImplemented(*part, type);
        }
        return absl::OkStatus();
      }));
  return absl::OkStatus();
}

absl::Status ReadDecoder(const json::Value& value, const std::string& name, Decoder* decoder) {
  return ForEachStep(value, name, "decoders", kMaxNesting,
                     [&](FieldReader* part, const std::string& type) -> absl::Status {
                       if (type == "Metaspace") {
                         Metaspace metaspace = ReadMetaspace(part);
                         decoder->Append(MetaspaceDecoder{
                             .replacement = std::move(metaspace.replacement),
                             .drop_first = metaspace.prepend != Metaspace::Prepend::kNever});
                       } else if (type == "ByteLevel") {
                         IgnoreOffsets(part);
                         part->Harmless({"add_prefix_space", "use_regex"});
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
absl::StatusOr<Frame> ReadTemplate(FieldReader* part, const char* field, bool want_pair) {
  Frame frame;
  const json::Value* list = part->Find(field);
  const json::Value* specials = part->Find("special_tokens");
  bool good = list != nullptr && list->is_array();
  std::string texts;  // those seen so far
  for (size_t i = 0; good && i < list->size(); ++i) {
    const json::Object& item = (*list)[i].members();
    std::string id;
    good = item.size() == 1 && item[0].value.Get("id", &id);
    if (!good) break;
    if (item[0].name == "Sequence") {
      texts += id;
      continue;
    }
    std::vector<int32_t> ids;
    good =
        item[0].name == "SpecialToken" && specials != nullptr && (*specials)[id].Get("ids", &ids);
    for (const int32_t token : ids) {
      good = good && token >= 0 && token < kMaxVocabSize;
      if (!good) break;
      std::vector<int32_t>& place = texts.empty()                    ? frame.before
                                    : want_pair && texts.size() == 1 ? frame.between
                                                                     : frame.behind;
      place.push_back(token);
    }
  }
  if (!good || texts != (want_pair ? "AB" : "A")) {
    part->Reject(field, want_pair ? "a template of text A, then B, between special tokens"
                                  : "a template of text A between special tokens");
  }
  return frame;
}

// ["</s>", 2]
int32_t ReadTokenAndId(FieldReader* part, const char* field) {
  const json::Value* value = part->Find(field);
  int32_t id = 0;
  if (value != nullptr && value->elements().size() == 2 && (*value)[0].is_string() &&
      (*value)[1].To(&id) && id >= 0 && id < kMaxVocabSize)
    return id;
  part->Reject(field, "a token and its id");
  return 0;
}

absl::Status ReadPostProcessor(const json::Value& value, const std::string& name, Pipeline* out) {
  bool framed = false;
  return ForEachStep(value, name, "processors", kMaxNesting,
                     [&](FieldReader* part, const std::string& type) -> absl::Status {
                       if (type == "ByteLevel") {  // it moves offsets only
                         IgnoreOffsets(part);
                         part->Harmless({"add_prefix_space", "use_regex"});
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
                           part->Harmless({"add_prefix_space"});
                         }
                       } else {
                         return NotImplemented(*part, type);
                       }
                       return absl::OkStatus();
                     });
}

absl::Status ReadUnigram(FieldReader* part, Pipeline* out) {
  const json::Value* vocab = part->Find("vocab");
  if (vocab == nullptr || !vocab->is_array() || vocab->empty() ||
      vocab->size() > static_cast<size_t>(kMaxVocabSize)) {
    part->Reject("vocab", absl::StrCat("an array of 1 to ", kMaxVocabSize, " pieces"));
    return part->Finish();
  }
  const int size = static_cast<int>(vocab->size());
  const auto unk_id = part->OptionalInt("unk_id", 0, size - 1);
  if (!unk_id.has_value()) part->Reject("unk_id", "the id of a piece");
  const bool byte_fallback = part->BoolOr("byte_fallback", false);
  part->ForbidUnknown();
  MELLOW_RETURN_IF_ERROR(part->Finish());
  std::vector<Unigram::Piece> pieces;
  pieces.reserve(vocab->size());
  for (const json::Value& entry : vocab->elements()) {
    const int32_t id = static_cast<int32_t>(pieces.size());
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return absl::InvalidArgumentError(absl::StrCat(
          part->name(), ": vocab[", id, "] is ", json::Excerpt(entry), ", not a text and a score"));
    }
    const std::string& text = entry[0].string();
    pieces.push_back({text, entry[1].number(), id});
    out->pieces.push_back(text);
    out->vocabulary.ids[text] = id;
  }
  out->vocabulary.size = size;
  out->model.emplace(Unigram(std::move(pieces), *unk_id, byte_fallback));
  return absl::OkStatus();
}

absl::StatusOr<Bpe::Merges> ReadMerges(FieldReader* part) {
  Bpe::Merges merges;
  const json::Value* value = part->Find("merges");
  if (value == nullptr || !value->is_array()) {
    part->Reject("merges", "an array");
    return merges;
  }
  for (const json::Value& entry : value->elements()) {
    // "a b" until 2024, ["a", "b"] since.
    if (entry.is_string()) {
      std::vector<std::string> parts = absl::StrSplit(entry.string(), ' ');
      if (parts.size() == 2) {
        merges.emplace_back(std::move(parts[0]), std::move(parts[1]));
        continue;
      }
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.emplace_back(entry[0].string(), entry[1].string());
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(part->name(), ": merges[", merges.size(),
                                                   "] is ", json::Excerpt(entry), ", not a pair"));
  }
  return merges;
}

absl::Status ReadBpe(FieldReader* part, Pipeline* out) {
  const json::Value* vocab = part->Find("vocab");
  if (vocab == nullptr) part->Reject("vocab", "an object");
  const json::Value* dropout = part->Find("dropout");
  if (dropout != nullptr && *dropout != 0) part->Reject("dropout", "null or 0: it draws at random");
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!part->StringOr(field, "").empty()) part->Reject(field, "\"\"");
  }
  if (part->BoolOr("byte_fallback", false)) part->Reject("byte_fallback", "false");
  Bpe::Options options;
  options.fuse_unk = part->BoolOr("fuse_unk", false);
  options.ignore_merges = part->BoolOr("ignore_merges", false);
  const auto unk_token = part->OptionalString("unk_token");
  MELLOW_ASSIGN_OR_RETURN(const Bpe::Merges merges, ReadMerges(part));
  part->ForbidUnknown();
  MELLOW_RETURN_IF_ERROR(part->Finish());
  MELLOW_RETURN_IF_ERROR(ReadVocab(*vocab, absl::StrCat(part->name(), ": vocab"), out));
  if (unk_token.has_value()) {
    const auto unk = out->vocabulary.ids.find(*unk_token);
    if (unk == out->vocabulary.ids.end()) {
      part->Reject("unk_token", "a text of the vocabulary");
      return part->Finish();
    }
    options.unk_id = unk->second;
  }
  absl::StatusOr<Bpe> bpe = Bpe::Create(out->vocabulary.ids, merges, options);
  if (!bpe.ok()) return Annotate(bpe.status(), part->name());
  out->model.emplace(*std::move(bpe));
  return absl::OkStatus();
}

absl::Status ReadModel(const json::Value& value, const std::string& name, Pipeline* out) {
  FieldReader part(value, name);
  // Files of old do not name the type.
  std::string type = part.StringOr("type", "");
  if (type.empty() && part.Find("unk_id") != nullptr) type = "Unigram";
  if (type.empty() && part.Find("merges") != nullptr) type = "BPE";
  const std::vector<PreTokenizer::Step>& steps = out->pre_tokenizer.steps();
  const bool bytes = !steps.empty() && std::holds_alternative<ByteLevelSplit>(steps.back());
  if (type == "Unigram") {
    if (bytes) part.Reject("type", "BPE behind the pre_tokenizer ByteLevel");
    MELLOW_RETURN_IF_ERROR(part.Finish());
    return ReadUnigram(&part, out);
  }
  if (type == "BPE") {
    if (!bytes) part.Reject("type", "the pre_tokenizer ByteLevel before BPE");
    MELLOW_RETURN_IF_ERROR(part.Finish());
    return ReadBpe(&part, out);
  }
  MELLOW_RETURN_IF_ERROR(part.Finish());
  return NotImplemented(part, type);
}

absl::Status ReadAddedTokens(const json::Value& value, const std::string& name, Pipeline* out) {
  if (!value.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", json::Excerpt(value), ", expected an array"));
  }
  for (size_t i = 0; i < value.size(); ++i) {
    // The id is not read: the tokenizers library numbers the tokens by their order too.
    MELLOW_ASSIGN_OR_RETURN(const AddedToken token,
                            ReadAddedToken(value[i], absl::StrCat(name, "[", i, "]")));
    out->Add(token);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadVocab(const json::Value& value, const std::string& name, Pipeline* out) {
  if (!value.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a JSON object"));
  }
  std::vector<bool> seen;
  for (const auto& [token, id] : value.members()) {
    int32_t number = -1;
    if (!id.To(&number) || number < 0 || number >= kMaxVocabSize) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": the id of \"", token, "\" is not a number from 0 to ", kMaxVocabSize - 1));
    }
    const auto index = static_cast<size_t>(number);
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

absl::StatusOr<AddedToken> ReadAddedToken(const json::Value& value, const std::string& name) {
  FieldReader part(value, name);
  AddedToken token;
  token.content = part.StringOr("content", "");
  if (token.content.empty()) part.Reject("content", "a string that is not empty");
  token.special = part.BoolOr("special", false);
  token.single_word = part.BoolOr("single_word", false);
  token.lstrip = part.BoolOr("lstrip", false);
  token.rstrip = part.BoolOr("rstrip", false);
  token.normalized = part.BoolOr("normalized", !token.special);
  part.Harmless({"id", "__type"});
  part.ForbidUnknown();
  MELLOW_RETURN_IF_ERROR(part.Finish());
  return token;
}

absl::StatusOr<Pipeline> ParseTokenizerJson(absl::string_view text, const std::string& name) {
  MELLOW_ASSIGN_OR_RETURN(const json::Value object, json::ParseObject(text, name, kTokenizerJson));
  Pipeline out;
  FieldReader file(object, name);
  if (file.StringOr("version", "1.0") != "1.0") file.Reject("version", "\"1.0\"");
  if (const json::Value* truncation = file.Find("truncation")) {
    FieldReader part(*truncation, absl::StrCat(name, ": truncation"));
    out.truncate_left = part.StringOr("direction", "Right") == "Left";
    MELLOW_RETURN_IF_ERROR(part.Finish());
  }
  const auto read = [&](const char* field, const auto& reader) -> absl::Status {
    const json::Value* part = file.Find(field);
    return part == nullptr ? absl::OkStatus() : reader(*part, absl::StrCat(name, ": ", field));
  };
  MELLOW_RETURN_IF_ERROR(read("normalizer", [&](const json::Value& part, const std::string& where) {
    return ReadNormalizer(part, where, &out.normalizer);
  }));
  MELLOW_RETURN_IF_ERROR(
      read("pre_tokenizer", [&](const json::Value& part, const std::string& where) {
        return ReadPreTokenizer(part, where, &out.pre_tokenizer);
      }));
  if (file.Find("model") == nullptr) file.Reject("model", "an object");
  MELLOW_RETURN_IF_ERROR(read("model", [&](const json::Value& part, const std::string& where) {
    return ReadModel(part, where, &out);
  }));
  MELLOW_RETURN_IF_ERROR(
      read("added_tokens", [&](const json::Value& part, const std::string& where) {
        return ReadAddedTokens(part, where, &out);
      }));
  MELLOW_RETURN_IF_ERROR(
      read("post_processor", [&](const json::Value& part, const std::string& where) {
        return ReadPostProcessor(part, where, &out);
      }));
  MELLOW_RETURN_IF_ERROR(read("decoder", [&](const json::Value& part, const std::string& where) {
    return ReadDecoder(part, where, &out.decoder);
  }));
  file.Harmless({"padding"});
  file.ForbidUnknown();
  MELLOW_RETURN_IF_ERROR(file.Finish());
  return out;
}

}  // namespace mellow::text
