#ifndef MELLOW_TESTS_COMMON_TEXT_SENTENCEPIECE_LIBRARY_H_
#define MELLOW_TESTS_COMMON_TEXT_SENTENCEPIECE_LIBRARY_H_

#include <string>
#include <vector>

namespace mellow::testing {

// The ids that the sentencepiece library gives, without special tokens; empty when it cannot read
// the model. Behind std types alone: its header brings an absl::string_view of its own and may not
// meet abseil's.
[[nodiscard]] std::vector<std::vector<int>> SentencePieceIds(const std::string& model_file,
                                                             const std::vector<std::string>& texts);

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_COMMON_TEXT_SENTENCEPIECE_LIBRARY_H_
