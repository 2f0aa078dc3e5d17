#include "common/text/t5_tokenizer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/text/added_tokens.h"
#include "common/text/charsmap.h"
#include "common/text/spm_model.h"
#include "common/text/unicode.h"
#include "common/text/unigram.h"
#include "common/text/vocabulary.h"

namespace mellow::text {
namespace {

constexpr absl::string_view kSpace = "\u2581";  // "▁", which stands for a space inside pieces
constexpr int kDefaultExtraIds = 100;

class T5Tokenizer : public Tokenizer {
 public:
  struct Parts {
    Charsmap charsmap;
    bool strip_right;
    bool split_whitespace;
    std::vector<AddedToken> added;
    Unigram unigram;
    Vocabulary vocabulary;
    int32_t eos_id;
  };

  explicit T5Tokenizer(Parts parts)
      : parts_(std::move(parts)), raw_splitter_(parts_.added, /*normalized=*/false) {
    std::vector<AddedToken> normalized = parts_.added;
    for (AddedToken& token : normalized) token.content = Normalize(token.content);
    normalized_splitter_.emplace(normalized, /*normalized=*/true);
  }

  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              int max_tokens) const override {
    if (const size_t bad = FirstInvalidUtf8(text); bad != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", bad));
    }
    std::vector<int32_t> ids;
    Unigram::Scratch scratch;
    // What comes behind as many tokens as are kept is not looked at.
    const size_t enough = max_tokens > 0 ? static_cast<size_t>(max_tokens) : SIZE_MAX;
    for (const TextPart& raw : raw_splitter_.Split(text)) {
      if (ids.size() >= enough) break;
      if (raw.id >= 0) {
        ids.push_back(raw.id);
        continue;
      }
      const std::string normalized = Normalize(raw.text);
      for (const TextPart& part : normalized_splitter_->Split(normalized)) {
        if (part.id >= 0) {
          ids.push_back(part.id);
        } else {
          EncodeWords(part.text, enough, &scratch, &ids);
        }
      }
    }
    if (ids.size() >= enough) ids.resize(enough - 1);
    ids.push_back(parts_.eos_id);
    return ids;
  }

  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special_tokens) const override {
    MELLOW_ASSIGN_OR_RETURN(const auto texts, parts_.vocabulary.Texts(ids, skip_special_tokens));
    std::string out;
    for (size_t i = 0; i < texts.size(); ++i) {
      for (absl::string_view rest = texts[i]; !rest.empty();) {
        if (absl::StartsWith(rest, kSpace)) {
          if (i > 0) out += ' ';  // the first token's is the one that Encode put there
          rest.remove_prefix(kSpace.size());
        } else {
          out += rest.front();
          rest.remove_prefix(1);
        }
      }
    }
    return out;
  }

  int vocab_size() const override { return parts_.vocabulary.size(); }

 private:
  // The character map, then what tokenizer.json does to white space; runs of spaces become one.
  std::string Normalize(absl::string_view text) const {
    std::string mapped = parts_.charsmap.Normalize(text);
    size_t size = mapped.size();
    if (parts_.strip_right || parts_.split_whitespace) size = RightStripped(mapped);
    std::string out;
    out.reserve(size);
    for (size_t pos = 0; pos < size;) {
      const Utf8Char c = DecodeUtf8(mapped, pos);
      const bool space = parts_.split_whitespace ? IsWhiteSpace(c.code_point) : c.code_point == ' ';
      if (!space) {
        out.append(mapped, pos, c.size);
      } else if (out.empty() || out.back() != ' ') {
        out += ' ';
      }
      pos += c.size;
    }
    return out;
  }

  static size_t RightStripped(absl::string_view text) {
    size_t end = 0;
    for (size_t pos = 0; pos < text.size();) {
      const Utf8Char c = DecodeUtf8(text, pos);
      pos += c.size;
      if (!IsWhiteSpace(c.code_point)) end = pos;
    }
    return end;
  }

  // Words begin with "▁", in place of the space before them; the first one gets it in any case.
  // Stops at a word's end once there are `enough` ids.
  void EncodeWords(absl::string_view text, size_t enough, Unigram::Scratch* scratch,
                   std::vector<int32_t>* ids) const {
    std::string word;
    if (text.front() != ' ' && !absl::StartsWith(text, kSpace)) word = std::string(kSpace);
    const auto flush = [&] {
      if (!word.empty()) parts_.unigram.Encode(word, scratch, ids);
      word = std::string(kSpace);
    };
    while (!text.empty() && ids->size() < enough) {
      if (text.front() == ' ') {
        flush();
        text.remove_prefix(1);
      } else if (absl::StartsWith(text, kSpace)) {
        flush();
        text.remove_prefix(kSpace.size());
      } else {
        word += text.front();
        text.remove_prefix(1);
      }
    }
    flush();
  }

  Parts parts_;
  AddedTokenSplitter raw_splitter_;
  std::optional<AddedTokenSplitter> normalized_splitter_;
};

// `score` as the fast tokenizer gets it from tokenizer.json: written with the fewest digits that
// identify it, and read by serde_json as (digits rounded to double) / 10^n. A 17-digit score comes
// out an ulp off, which decides ties such as that of "gg g" and "g gg".
double ScoreThroughJson(double score) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), std::abs(score),
                                 std::chars_format::fixed);
  if (end.ec != std::errc()) return score;  // beyond 32 characters: no log-probability
  uint64_t digits = 0;
  int decimals = 0;
  bool fraction = false;
  for (const char* c = text.data(); c != end.ptr; ++c) {
    if (*c == '.') {
      fraction = true;
      continue;
    }
    if (digits > (UINT64_MAX - 9) / 10) return score;
    digits = digits * 10 + static_cast<uint64_t>(*c - '0');
    decimals += fraction;
  }
  return std::copysign(static_cast<double>(digits) / std::pow(10.0, decimals), score);
}

// </s>, <pad> and <unk> where the vocabulary has them, and the sentinels <extra_id_N> behind it,
// the highest N first.
std::vector<AddedToken> DefaultAddedTokens(const SpmModel& model, const TokenizerConfig& config) {
  std::vector<AddedToken> tokens;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const std::string& text = model.pieces[id].text;
    if (text == "</s>" || text == "<pad>" || text == "<unk>") {
      tokens.push_back({.content = text, .id = static_cast<int32_t>(id)});
    }
  }
  const bool listed = std::any_of(
      config.added_tokens.begin(), config.added_tokens.end(),
      [](const AddedToken& token) { return absl::StartsWith(token.content, "<extra_id_"); });
  if (listed) return tokens;
  int32_t id = static_cast<int32_t>(model.pieces.size());
  for (int n = config.extra_ids.value_or(kDefaultExtraIds) - 1; n >= 0; --n) {
    tokens.push_back({.content = absl::StrCat("<extra_id_", n, ">"), .id = id++});
  }
  return tokens;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeT5Tokenizer(absl::string_view spiece_model,
                                                           const TokenizerConfig& config) {
  MELLOW_ASSIGN_OR_RETURN(SpmModel model, ParseSpmModel(spiece_model));
  if (config.add_prefix_space == false) {
    return absl::InvalidArgumentError(
        "add_prefix_space is false: a T5 tokenizer without prefix is not supported");
  }
  // Where add_prefix_space is set at all, transformers passes over tokenizer.json and converts
  // spiece.model anew.
  const bool convert = config.add_prefix_space.has_value();
  const bool from_json = config.has_tokenizer_json && !convert;
  if (model.pieces.size() > static_cast<size_t>(kMaxVocabSize)) {
    return absl::InvalidArgumentError(
        absl::StrCat(model.pieces.size(), " pieces: at most ", kMaxVocabSize, " are supported"));
  }
  const auto eos = std::find_if(model.pieces.begin(), model.pieces.end(),
                                [](const SpmModel::Piece& piece) { return piece.text == "</s>"; });
  if (eos == model.pieces.end())
    return absl::InvalidArgumentError("no piece </s>: not a T5 vocabulary");
  const int32_t eos_id = static_cast<int32_t>(eos - model.pieces.begin());
  MELLOW_ASSIGN_OR_RETURN(Charsmap charsmap, Charsmap::Parse(model.precompiled_charsmap));

  std::vector<AddedToken> added = MergeAddedTokens(DefaultAddedTokens(model, config), config);
  std::vector<std::string> texts;
  std::vector<Unigram::Piece> pieces;
  for (SpmModel::Piece& piece : model.pieces) {
    const double score = from_json ? ScoreThroughJson(piece.score) : piece.score;
    pieces.push_back({piece.text, score, static_cast<int32_t>(texts.size())});
    texts.push_back(std::move(piece.text));
  }
  // The sentinels are pieces too: text that only normalises to one ("＜extra_id_0＞") finds it
  // here.
  for (const AddedToken& token : added) {
    if (absl::StartsWith(token.content, "<extra_id_"))
      pieces.push_back({token.content, 0.0, token.id});
  }
  return std::make_unique<T5Tokenizer>(T5Tokenizer::Parts{
      .charsmap = std::move(charsmap),
      .strip_right = convert || (from_json && config.strip_right),
      .split_whitespace = from_json && config.split_whitespace,
      .added = added,
      .unigram = Unigram(std::move(pieces), model.unk_id),
      .vocabulary = Vocabulary(std::move(texts), added, config.model_vocab_size),
      .eos_id = eos_id,
  });
}

}  // namespace mellow::text
