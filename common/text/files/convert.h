#ifndef MELLOW_COMMON_TEXT_FILES_CONVERT_H_
#define MELLOW_COMMON_TEXT_FILES_CONVERT_H_

// What transformers makes of the vocabulary files of old, and of the special tokens of a folder.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/text/files/tokenizer_config.h"
#include "common/text/pipeline/pipeline.h"

namespace mellow::text {

// T5's fast tokenizer from the bytes of spiece.model: white space at the end of a text is stripped,
// legacy decides whether text behind an added token begins a word. Without a frame.
// InvalidArgument: as ReadSentencePieceModel, or a bad character map.
[[nodiscard]] absl::StatusOr<Pipeline> ConvertSentencePiece(const std::string& spiece_model,
                                                            const TokenizerConfig& config,
                                                            bool add_prefix_space);

// RoBERTa's from the bytes of vocab.json and merges.txt; the names stand for them in errors.
// Without a frame.
[[nodiscard]] absl::StatusOr<Pipeline> ConvertVocabAndMerges(const std::string& vocab,
                                                             const std::string& vocab_name,
                                                             const std::string& merges,
                                                             const std::string& merges_name,
                                                             const TokenizerConfig& config);

// Adds the added and special tokens of the folder's JSON files, and where `converted` the frame
// that the class has. InvalidArgument: extra_ids that contradict additional_special_tokens, no
// </s>.
[[nodiscard]] absl::Status AddFolderTokens(const TokenizerConfig& config, TokenizerClass kind,
                                           bool converted, Pipeline* pipeline);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_FILES_CONVERT_H_
