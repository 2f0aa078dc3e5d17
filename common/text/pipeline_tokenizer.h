#ifndef MELLOW_COMMON_TEXT_PIPELINE_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_PIPELINE_TOKENIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/text/pipeline/pipeline.h"
#include "common/text/tokenizer.h"

namespace mellow::text {

// The tokenizer that the parts make together.
// InvalidArgument: more than kMaxVocabSize ids, a special token of a frame beyond them, or an added
// token that the normalizer leaves nothing of.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> MakePipelineTokenizer(Pipeline pipeline);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_TOKENIZER_H_
