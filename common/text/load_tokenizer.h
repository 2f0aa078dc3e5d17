#ifndef MELLOW_COMMON_TEXT_LOAD_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_LOAD_TOKENIZER_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/text/tokenizer.h"

namespace mellow::text {

// Loads the tokenizer of a model folder.
//
// Which class it is: tokenizer_class of tokenizer_config.json, else of config.json, else by
// config.json's model_type, else by the files. Known are those of T5, MT5 and RoBERTa, and
// PreTrainedTokenizerFast or TokenizersBackend, which are what tokenizer.json says. Another class,
// or the model type of another family, is refused before any other file is looked at.
// Which file counts: tokenizer.json, read as what it is. T5's spiece.model is converted instead
// where there is no tokenizer.json, or where tokenizer_config.json sets add_prefix_space (that is
// what transformers does, and why it ignores tokenizer.json in many folders); RoBERTa's vocab.json
// and merges.txt where there is no tokenizer.json. Added and special tokens of
// tokenizer_config.json, special_tokens_map.json and added_tokens.json are added to either.
//
// NotFound: no such files; InvalidArgument: a corrupt file, or one with a part that is not
// implemented; the message names file, field and value.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder);

// The same from files in memory, by name. `folder` stands for where they lie in errors.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(
    const std::map<std::string, std::string>& files, const std::string& folder);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_LOAD_TOKENIZER_H_
