#ifndef MELLOW_COMMON_TEXT_FILES_TOKENIZER_JSON_H_
#define MELLOW_COMMON_TEXT_FILES_TOKENIZER_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/json/value.h"
#include "common/text/pipeline/pipeline.h"

namespace mellow::text {

// tokenizer.json of the tokenizers library, read as what it is: normalizer (Precompiled, Strip,
// Replace, Prepend), pre_tokenizer (WhitespaceSplit, Metaspace, ByteLevel), model (Unigram, or BPE
// over ByteLevel), added_tokens, post_processor (TemplateProcessing, RobertaProcessing,
// BertProcessing, ByteLevel), decoder (Metaspace, ByteLevel, ByteFallback, Fuse), and Sequences of
// these. Of truncation only the direction counts and of padding nothing: transformers takes the
// rest from the call. InvalidArgument, naming the part and `name`: corrupt, or a part or an option
// that is not implemented.
[[nodiscard]] absl::StatusOr<Pipeline> ParseTokenizerJson(absl::string_view text,
                                                          const std::string& name);

// Fills the vocabulary and the pieces from an object of texts and ids: vocab.value, or the vocab of
// a BPE. InvalidArgument, naming `name`: no such object, or an id twice.
[[nodiscard]] absl::Status ReadVocab(const json::Value& value, const std::string& name,
                                     Pipeline* out);

// One of added_tokens, or of added_tokens_decoder in tokenizer_config.value.
[[nodiscard]] absl::StatusOr<AddedToken> ReadAddedToken(const json::Value& value,
                                                        const std::string& name);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_FILES_TOKENIZER_JSON_H_
