#ifndef MELLOW_COMMON_TEXT_T5_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_T5_TOKENIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/tokenizer.h"
#include "common/text/tokenizer_config.h"

namespace mellow::text {

// The fast tokenizer of T5 and FLAN-T5 from the bytes of spiece.model. Without a tokenizer.json
// that says otherwise it is FLAN-T5's: a text that ends in white space ends in the piece "▁".
// InvalidArgument: as ParseSpmModel, a bad character map, no piece </s>.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> MakeT5Tokenizer(
    absl::string_view spiece_model, const TokenizerConfig& config);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_T5_TOKENIZER_H_
