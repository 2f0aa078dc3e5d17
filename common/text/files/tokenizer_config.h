#ifndef MELLOW_COMMON_TEXT_FILES_TOKENIZER_CONFIG_H_
#define MELLOW_COMMON_TEXT_FILES_TOKENIZER_CONFIG_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/text/pipeline/pipeline.h"

namespace mellow::text {

// A special token as the JSON files of a folder write it: a text alone, or one with all its flags,
// which then counts as it is.
struct SpecialToken {
  AddedToken token;
  bool has_flags = false;
};

// The roles that a tokenizer's special tokens have, in the order in which transformers adds them.
inline constexpr std::array<const char*, 7> kSpecialRoles = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
enum SpecialRole { kBos, kEos, kUnk, kSep, kPad, kCls, kMask };

// Which tokenizer class of transformers loads the folder.
enum class TokenizerClass { kT5, kRoberta, kAnyJson };

// What the JSON files beside a vocabulary say. Every file and every field may be absent.
struct TokenizerConfig {
  std::optional<int> extra_ids;
  std::optional<bool> add_prefix_space;
  bool legacy = true;
  std::optional<bool> truncate_left;
  bool split_special_tokens = false;
  bool clean_up_spaces = false;
  int model_max_length = 0;  // 0: none
  // Those of tokenizer_config.json, and of special_tokens_map.json where that counts.
  std::array<std::optional<SpecialToken>, kSpecialRoles.size()> special;
  std::optional<std::vector<SpecialToken>> additional_special_tokens;

  // tokenizer_config.json's added_tokens_decoder; in folders from before it (its absence, not its
  // emptiness, says so) added_tokens.json and tokenizer.json's added_tokens instead. By id.
  std::map<int32_t, AddedToken> added_tokens;

  // What tokenizer_config.json says and nobody here knows; a line each.
  std::vector<std::string> warnings;

  // config.json: vocab_size, or 0. Ids between the tokenizer's last and this one are padding of the
  // embedding.
  int32_t model_vocab_size = 0;
};

using FileMap = std::map<std::string, std::string>;

// Which class the files ask for: tokenizer_class of tokenizer_config.json, else of config.json,
// else what config.json's model_type stands for; nullopt: they do not say. InvalidArgument: a file
// that is not JSON, or another class or model type, which the error names, with those that are
// read.
[[nodiscard]] absl::StatusOr<std::optional<TokenizerClass>> ReadTokenizerClass(
    const FileMap& files, const std::string& folder);

// Reads the files by their names; `json` is what tokenizer.json was parsed to, or null. Errors name
// `folder`, file and field. InvalidArgument: a file that is not JSON, a field of the wrong kind, a
// setting that is not implemented.
[[nodiscard]] absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const FileMap& files,
                                                                  const std::string& folder,
                                                                  const Pipeline* json);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_FILES_TOKENIZER_CONFIG_H_
