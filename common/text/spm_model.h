#ifndef MELLOW_COMMON_TEXT_SPM_MODEL_H_
#define MELLOW_COMMON_TEXT_SPM_MODEL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::text {

// What a SentencePiece unigram model file (message sentencepiece.ModelProto) holds that tokenizing
// needs. Read here and not by the sentencepiece library: the library would tokenize otherwise than
// the fast tokenizers (longest match in the character map, float scores, no final "▁"), and its
// protobuf clashes with gRPC's.
struct SpmModel {
  struct Piece {
    std::string text;
    float score = 0;
  };
  std::vector<Piece> pieces;  // by id
  int unk_id = 0;
  std::string precompiled_charsmap;
};

// InvalidArgument: not a ModelProto, not a unigram model, or one with byte fallback; pieces that
// are empty or not UTF-8; scores that are not finite; no unknown piece.
[[nodiscard]] absl::StatusOr<SpmModel> ParseSpmModel(absl::string_view file);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_SPM_MODEL_H_
