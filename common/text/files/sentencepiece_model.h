#ifndef MELLOW_COMMON_TEXT_FILES_SENTENCEPIECE_MODEL_H_
#define MELLOW_COMMON_TEXT_FILES_SENTENCEPIECE_MODEL_H_

// Behind std types alone: the header of the sentencepiece library brings an absl::string_view of
// its own and may not meet abseil's.

#include <string>
#include <vector>

namespace mellow::text {

// What the sentencepiece library reads from a unigram model file (spiece.model). The library does
// not tokenize for us: the fast tokenizers of Hugging Face differ from it (shortest match in the
// character map, double scores, white space at the end).
struct SentencePieceModel {
  struct Piece {
    std::string text;
    float score = 0;
    bool control = false;       // such as </s>
    bool user_defined = false;  // always found whole
  };
  std::vector<Piece> pieces;  // by id
  int unk_id = 0;
  std::string precompiled_charsmap;
};

// Fills `model`; otherwise returns what is wrong with the file: no SentencePiece model, one that
// the library refuses, not a unigram model, one with byte fallback, or scores that are not finite.
[[nodiscard]] std::string ReadSentencePieceModel(const std::string& file,
                                                 SentencePieceModel* model);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_FILES_SENTENCEPIECE_MODEL_H_
