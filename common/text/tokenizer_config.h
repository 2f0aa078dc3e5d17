#ifndef MELLOW_COMMON_TEXT_TOKENIZER_CONFIG_H_
#define MELLOW_COMMON_TEXT_TOKENIZER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/added_tokens.h"

namespace mellow::text {

// Bounds what a corrupt file can make us allocate; the largest vocabularies in use have some
// 250,000 entries.
inline constexpr int32_t kMaxVocabSize = 1 << 21;

// What the JSON files beside a vocabulary say. Every file and every field may be absent.
struct TokenizerConfig {
  // tokenizer_config.json
  std::vector<AddedToken> added_tokens;  // added_tokens_decoder
  std::optional<int> extra_ids;
  std::optional<bool> add_prefix_space;

  // tokenizer.json: how its normalizer and pre_tokenizer treat white space. The rest of the file is
  // not looked at: it repeats the vocabulary, and truncation and padding are those of the run that
  // saved it.
  bool has_tokenizer_json = false;
  bool strip_right = false;       // Strip: the end of the text loses its white space
  bool split_whitespace = false;  // WhitespaceSplit: any run of white space is one boundary

  // config.json: vocab_size, or 0. Ids between the tokenizer's last and this one are padding of the
  // embedding.
  int32_t model_vocab_size = 0;
};

// InvalidArgument: a file that is not JSON or a field of the wrong kind; the message names both.
[[nodiscard]] absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const std::string& folder);

// `tokens`, those of `config` added; equal contents are replaced.
[[nodiscard]] std::vector<AddedToken> MergeAddedTokens(std::vector<AddedToken> tokens,
                                                       const TokenizerConfig& config);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_TOKENIZER_CONFIG_H_
