#include "common/text/files/convert.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/text/files/sentencepiece_model.h"
#include "common/text/files/tokenizer_json.h"
#include "common/text/files/tokenizer_number.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

constexpr int kDefaultExtraIds = 100;
constexpr const char* kSpace = "\u2581";  // "▁", which stands for a space inside pieces

std::string ExtraId(int n) { return absl::StrCat("<extra_id_", n, ">"); }

// The special token of each role. `converted`: the slow tokenizer has had them before, which gives
// flags to those that are a text alone.
std::array<std::optional<SpecialToken>, kSpecialRoles.size()> RolesOf(const TokenizerConfig& config,
                                                                      TokenizerClass kind,
                                                                      bool converted) {
  auto roles = config.special;
  // `token`: what the class has by itself, and the flags of a text alone.
  const auto fill = [&](SpecialRole role, AddedToken token, bool always) {
    if (!roles[role].has_value()) {
      roles[role] = SpecialToken{.token = {.content = token.content}, .has_flags = false};
    }
    if (roles[role]->has_flags || !(converted || always)) return;
    token.content = roles[role]->token.content;
    roles[role] = SpecialToken{.token = std::move(token), .has_flags = true};
  };
  if (kind == TokenizerClass::kT5) {
    for (const auto& [role, text] :
         {std::pair(kEos, "</s>"), std::pair(kUnk, "<unk>"), std::pair(kPad, "<pad>")}) {
      fill(role, {.content = text, .special = true}, false);
    }
  }
  if (kind == TokenizerClass::kRoberta) {
    for (const auto& [role, text] :
         {std::pair(kBos, "<s>"), std::pair(kEos, "</s>"), std::pair(kUnk, "<unk>"),
          std::pair(kSep, "</s>"), std::pair(kPad, "<pad>"), std::pair(kCls, "<s>")}) {
      fill(role, {.content = text, .normalized = true}, false);
    }
    // <mask> stands for a word together with the space before it.
    fill(kMask, {.content = "<mask>", .lstrip = true}, true);
  }
  return roles;
}

absl::StatusOr<std::vector<SpecialToken>> AdditionalTokens(const TokenizerConfig& config,
                                                           TokenizerClass kind) {
  std::vector<SpecialToken> tokens =
      config.additional_special_tokens.value_or(std::vector<SpecialToken>{});
  if (kind != TokenizerClass::kT5) return tokens;
  const int extra_ids = config.extra_ids.value_or(kDefaultExtraIds);
  const auto listed = std::count_if(tokens.begin(), tokens.end(), [](const SpecialToken& token) {
    return absl::StrContains(token.token.content, "<extra_id_");
  });
  if (listed == 0) {
    for (int n = 0; n < extra_ids; ++n) {
      tokens.push_back({.token = {.content = ExtraId(n)}, .has_flags = false});
    }
  } else if (extra_ids > 0 && extra_ids != listed) {
    return absl::InvalidArgumentError(
        absl::StrCat("extra_ids is ", extra_ids, " (", kDefaultExtraIds, " where absent), but ",
                     listed, " of additional_special_tokens are <extra_id_N>"));
  }
  return tokens;
}

}  // namespace

absl::StatusOr<Pipeline> ConvertSentencePiece(const std::string& spiece_model,
                                              const TokenizerConfig& config,
                                              bool add_prefix_space) {
  SentencePieceModel model;
  if (std::string error = ReadSentencePieceModel(spiece_model, &model); !error.empty()) {
    return absl::InvalidArgumentError(error);
  }
  if (model.pieces.size() > static_cast<size_t>(kMaxVocabSize)) {
    return absl::InvalidArgumentError(
        absl::StrCat(model.pieces.size(), " pieces: at most ", kMaxVocabSize, " are supported"));
  }
  Pipeline out;
  if (!model.precompiled_charsmap.empty()) {
    MELLOW_ASSIGN_OR_RETURN(Charsmap charsmap, Charsmap::Parse(model.precompiled_charsmap));
    out.normalizer.Append(std::move(charsmap));
  }
  out.normalizer.Append(Strip{.left = false, .right = true});
  out.normalizer.Append(Replace{.pattern = "", .content = kSpace});
  const auto prepend = !add_prefix_space ? Metaspace::Prepend::kNever
                       : config.legacy   ? Metaspace::Prepend::kAlways
                                         : Metaspace::Prepend::kFirst;
  out.pre_tokenizer.Append(Metaspace{.prepend = prepend});
  out.decoder.Append(MetaspaceDecoder{.drop_first = prepend != Metaspace::Prepend::kNever});

  // Behind the pieces stand the sentinels, the highest number first. They are pieces too: text that
  // only normalizes to one ("＜extra_id_0＞") finds it here.
  for (int n = config.extra_ids.value_or(kDefaultExtraIds) - 1; n >= 0; --n) {
    model.pieces.push_back({.text = ExtraId(n)});
  }
  std::vector<Unigram::Piece> pieces;
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    const int32_t id = static_cast<int32_t>(pieces.size());
    if (FirstInvalidUtf8(piece.text) != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is not UTF-8"));
    }
    pieces.push_back({piece.text, piece.score, id});
    out.pieces.push_back(piece.text);
    out.vocabulary.ids[piece.text] = id;
  }
  out.vocabulary.size = static_cast<int32_t>(pieces.size());
  out.model.emplace(Unigram(std::move(pieces), model.unk_id));
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    if (piece.control || piece.user_defined) {
      out.Add({.content = piece.text, .special = piece.control});
    }
  }
  return out;
}

absl::StatusOr<Pipeline> ConvertVocabAndMerges(const std::string& vocab,
                                               const std::string& vocab_name,
                                               const std::string& merges,
                                               const std::string& merges_name,
                                               const TokenizerConfig& config) {
  Pipeline out;
  MELLOW_ASSIGN_OR_RETURN(const json::Value words,
                          json::ParseObject(vocab, vocab_name, kTokenizerJson));
  MELLOW_RETURN_IF_ERROR(ReadVocab(words, vocab_name, &out));
  // transformers passes over the first line and over what follows the last line break, whatever
  // they are.
  std::vector<absl::string_view> lines = absl::StrSplit(merges, '\n');
  lines.pop_back();
  Bpe::Merges pairs;
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> parts = absl::StrSplit(absl::StripSuffix(lines[i], "\r"), ' ');
    if (parts.size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrCat(merges_name, ": line ", i + 1, " is not a pair"));
    }
    pairs.emplace_back(std::move(parts[0]), std::move(parts[1]));
  }
  absl::StatusOr<Bpe> bpe = Bpe::Create(out.vocabulary.ids, pairs);
  if (!bpe.ok()) return Annotate(bpe.status(), merges_name);
  out.model.emplace(*std::move(bpe));
  out.pre_tokenizer.Append(
      ByteLevelSplit{.add_prefix_space = config.add_prefix_space.value_or(false)});
  out.decoder.Append(ByteLevelDecoder{});
  return out;
}

absl::Status AddFolderTokens(const TokenizerConfig& config, TokenizerClass kind, bool converted,
                             Pipeline* pipeline) {
  const auto roles = RolesOf(config, kind, converted);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<SpecialToken> additional,
                          AdditionalTokens(config, kind));
  std::vector<SpecialToken> special;  // each text once
  absl::flat_hash_set<std::string> special_texts;
  const auto note = [&](const SpecialToken& token) {
    if (token.token.content.empty()) return;
    if (special_texts.insert(token.token.content).second) special.push_back(token);
  };
  for (const auto& role : roles) {
    if (role.has_value()) note(*role);
  }
  for (const SpecialToken& token : additional) note(token);

  // Those of the files, then the special ones: a text alone is added only where it is new, one with
  // flags wherever these very flags are.
  std::vector<AddedToken> tokens;
  absl::flat_hash_set<std::string> texts;
  for (const auto& [id, token] : config.added_tokens) {
    if (pipeline->added.Has(token)) continue;
    tokens.push_back(token);
    texts.insert(token.content);
  }
  const size_t listed = tokens.size();
  for (const SpecialToken& token : special) {
    const std::string& text = token.token.content;
    const bool known =
        token.has_flags
            ? std::find(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(listed),
                        token.token) != tokens.begin() + static_cast<std::ptrdiff_t>(listed)
            : pipeline->added.HasContent(text) || texts.contains(text);
    if (!known) tokens.push_back(token.token);
  }
  for (AddedToken& token : tokens) {
    token.special = token.special || special_texts.contains(token.content);
    pipeline->Add(token);
  }
  if (!converted) return absl::OkStatus();

  const auto id_of = [&](SpecialRole role) { return pipeline->IdOf(roles[role]->token.content); };
  if (kind == TokenizerClass::kRoberta) {
    const int32_t cls = id_of(kCls), sep = id_of(kSep);
    pipeline->single = {.before = {cls}, .between = {}, .behind = {sep}};
    pipeline->pair = {.before = {cls}, .between = {sep, sep}, .behind = {sep}};
    return absl::OkStatus();
  }
  const int32_t eos = pipeline->IdOf("</s>");
  if (eos < 0) return absl::InvalidArgumentError("no piece </s>: not a T5 vocabulary");
  pipeline->single = {.before = {}, .between = {}, .behind = {eos}};
  pipeline->pair = {.before = {}, .between = {eos}, .behind = {eos}};
  return absl::OkStatus();
}

}  // namespace mellow::text
