#ifndef MELLOW_COMMON_TEXT_PIPELINE_UNIGRAM_H_
#define MELLOW_COMMON_TEXT_PIPELINE_UNIGRAM_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/text/pipeline/byte_trie.h"

namespace mellow::text {

// The unigram language model of SentencePiece: the best segmentation of a word into pieces
// (Viterbi). Arithmetic and ties as in Hugging Face's tokenizers: double scores, the first of equal
// paths, adjacent unknown characters are one token. Thread-safe.
class Unigram {
 public:
  struct Piece {
    std::string text;
    double score;
    int32_t id;
  };

  // Where texts are equal, the last piece counts. unk_id is the id of one of them. byte_fallback:
  // what is unknown becomes the pieces of its bytes, <0x00> to <0xFF>, where they all are known.
  Unigram(std::vector<Piece> pieces, int32_t unk_id, bool byte_fallback = false);

  // Buffers that calls of one thread share.
  struct Scratch {
    struct Node {  // one per byte of the word: small, because a word may be a whole text
      double score;
      int32_t begin;  // where the last piece of the best path begins; -1: no path ends here
      int32_t id;
    };
    std::vector<Node> nodes;
  };

  // Appends the ids of `word`, which is UTF-8 and shorter than 2 GiB.
  void Encode(absl::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const;

 private:
  ByteTrie trie_;
  std::vector<double> scores_;  // by id
  int32_t unk_id_;
  double unk_score_;
  std::string unk_text_;
  std::vector<int32_t> byte_ids_;  // by byte, -1: no such piece; empty without byte_fallback
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_UNIGRAM_H_
