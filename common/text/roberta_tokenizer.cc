#include "common/text/roberta_tokenizer.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/text/added_tokens.h"
#include "common/text/bpe.h"
#include "common/text/byte_level.h"
#include "common/text/vocabulary.h"
#include "nlohmann/json.hpp"

namespace mellow::text {
namespace {

using VocabMap = absl::flat_hash_map<std::string, int32_t>;

class RobertaTokenizer : public Tokenizer {
 public:
  struct Parts {
    std::vector<AddedToken> added;
    bool add_prefix_space;
    Bpe bpe;
    Vocabulary vocabulary;
    int32_t bos_id;
    int32_t eos_id;
  };

  explicit RobertaTokenizer(Parts parts)
      : parts_(std::move(parts)),
        raw_splitter_(parts_.added, /*normalized=*/false),
        normalized_splitter_(parts_.added, /*normalized=*/true) {}

  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              int max_tokens) const override {
    if (const size_t bad = FirstInvalidUtf8(text); bad != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", bad));
    }
    if (max_tokens == 1) {
      return absl::InvalidArgumentError("max_tokens is 1: <s> and </s> alone are two");
    }
    std::vector<int32_t> ids = {parts_.bos_id};
    Bpe::Scratch scratch;
    // What comes behind as many tokens as are kept is not looked at.
    const size_t enough = max_tokens > 0 ? static_cast<size_t>(max_tokens) : SIZE_MAX;
    for (const TextPart& raw : raw_splitter_.Split(text)) {
      if (ids.size() >= enough) break;
      if (raw.id >= 0) {
        ids.push_back(raw.id);
        continue;
      }
      // There is no normalizer: these are searched in the same text, after the others.
      for (const TextPart& part : normalized_splitter_.Split(raw.text)) {
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
    return ReplaceInvalidUtf8(BytesOfTokens(texts));  // a token may end inside a character
  }

  int vocab_size() const override { return parts_.vocabulary.size(); }

 private:
  // Stops at a word's end once there are `enough` ids.
  void EncodeWords(absl::string_view text, size_t enough, Bpe::Scratch* scratch,
                   std::vector<int32_t>* ids) const {
    std::string prefixed;
    if (parts_.add_prefix_space && text.front() != ' ') {
      prefixed = absl::StrCat(" ", text);
      text = prefixed;
    }
    for (size_t pos = 0; pos < text.size() && ids->size() < enough;) {
      const size_t end = WordEnd(text, pos);
      parts_.bpe.Encode(text.substr(pos, end - pos), scratch, ids);
      pos = end;
    }
  }

  Parts parts_;
  AddedTokenSplitter raw_splitter_;
  AddedTokenSplitter normalized_splitter_;
};

absl::StatusOr<VocabMap> ParseVocab(absl::string_view file, const std::string& name) {
  const auto json =
      nlohmann::json::parse(file.begin(), file.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a JSON object"));
  VocabMap vocab;
  std::vector<bool> seen;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer() || id < 0 || id >= kMaxVocabSize) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": the id of \"", token, "\" is not a number from 0 to ", kMaxVocabSize - 1));
    }
    const size_t index = id.get<size_t>();
    if (index >= seen.size()) seen.resize(index + 1, false);
    if (seen[index])
      return absl::InvalidArgumentError(absl::StrCat(name, ": two tokens have the id ", index));
    seen[index] = true;
    vocab[token] = static_cast<int32_t>(index);
  }
  return vocab;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeRobertaTokenizer(absl::string_view vocab_file,
                                                                const std::string& vocab_name,
                                                                absl::string_view merges_file,
                                                                const std::string& merges_name,
                                                                const TokenizerConfig& config) {
  MELLOW_ASSIGN_OR_RETURN(const VocabMap vocab, ParseVocab(vocab_file, vocab_name));
  absl::StatusOr<Bpe> bpe = Bpe::Create(vocab, merges_file);
  if (!bpe.ok()) return Annotate(bpe.status(), merges_name);
  std::vector<AddedToken> added;
  for (const char* content : {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}) {
    const auto it = vocab.find(content);
    if (it == vocab.end()) continue;
    // <mask> stands for a word together with the space before it.
    added.push_back({.content = content, .id = it->second, .lstrip = it->first == "<mask>"});
  }
  const auto bos = vocab.find("<s>");
  const auto eos = vocab.find("</s>");
  if (bos == vocab.end() || eos == vocab.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(vocab_name, ": no <s> or no </s>: not RoBERTa's"));
  }
  added = MergeAddedTokens(std::move(added), config);
  std::vector<std::string> texts;
  for (const auto& [token, id] : vocab) {
    if (static_cast<size_t>(id) >= texts.size()) texts.resize(id + 1);
    texts[id] = token;
  }
  return std::make_unique<RobertaTokenizer>(RobertaTokenizer::Parts{
      .added = added,
      .add_prefix_space = config.add_prefix_space.value_or(false),
      .bpe = *std::move(bpe),
      .vocabulary = Vocabulary(std::move(texts), added, config.model_vocab_size),
      .bos_id = bos->second,
      .eos_id = eos->second,
  });
}

}  // namespace mellow::text
