#ifndef MELLOW_COMMON_TEXT_FILES_TOKENIZER_NUMBER_H_
#define MELLOW_COMMON_TEXT_FILES_TOKENIZER_NUMBER_H_

#include "absl/strings/string_view.h"
#include "common/json/value.h"

namespace mellow::text {

// The value that the tokenizers library reads for a JSON number with a fraction or an exponent,
// which is not always the nearest one: its parser multiplies digits and power of ten as doubles,
// and the last bit decides between segmentations of equal worth.
[[nodiscard]] double TokenizerNumber(absl::string_view text);

// How the JSON files of tokenizers are read. Of a name that comes twice the last value counts, as
// in the tokenizers library and in Python.
inline constexpr json::ParseOptions kTokenizerJson = {.last_of_name_counts = true,
                                                      .to_double = TokenizerNumber};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_FILES_TOKENIZER_NUMBER_H_
