#ifndef MELLOW_COMMON_TEXT_ROBERTA_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_ROBERTA_TOKENIZER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/tokenizer.h"
#include "common/text/tokenizer_config.h"

namespace mellow::text {

// The fast tokenizer of RoBERTa: byte-level BPE between <s> and </s>. `vocab` and `merges` are the
// bytes of vocab.json and merges.txt; the names stand for them in errors. InvalidArgument: corrupt,
// or without <s> or </s>.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> MakeRobertaTokenizer(
    absl::string_view vocab, const std::string& vocab_name, absl::string_view merges,
    const std::string& merges_name, const TokenizerConfig& config);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_ROBERTA_TOKENIZER_H_
