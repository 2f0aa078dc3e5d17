#ifndef MELLOW_COMMON_TEXT_BPE_H_
#define MELLOW_COMMON_TEXT_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::text {

// The merges of a byte-level BPE. Immutable after Create, thread-safe.
class Bpe {
 public:
  // `vocab` holds the entries of vocab.json, `merges` the bytes of merges.txt: one pair a line, the
  // best first. InvalidArgument: a line that is no pair, or whose parts or result are not in the
  // vocabulary.
  [[nodiscard]] static absl::StatusOr<Bpe> Create(
      const absl::flat_hash_map<std::string, int32_t>& vocab, absl::string_view merges);

  // Buffers that calls of one thread share.
  class Scratch {
    friend class Bpe;
    // One a byte of the word: small, because a word may be a whole text.
    struct Symbol {
      int32_t id;              // -1: merged into the symbol before it
      int32_t previous, next;  // -1: none
    };
    struct Candidate {
      int32_t rank, pos;
      bool operator<(
          const Candidate& other) const {  // the queue's top is the lowest rank, then the leftmost
        return rank != other.rank ? rank > other.rank : pos > other.pos;
      }
    };
    std::vector<Symbol> symbols_;
    std::vector<Candidate> queue_;  // a heap
  };

  // Appends the ids of the bytes of `word`. A byte that is not in the vocabulary vanishes, as in
  // the tokenizers' BPE without an unknown token. O(n log n). A word is shorter than 2 GiB.
  void Encode(absl::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    int32_t rank;
    int32_t id;  // of the result
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  void Offer(int32_t pos, Scratch* scratch) const;

  std::array<int32_t, 256> byte_ids_;  // -1: not in the vocabulary
  absl::flat_hash_map<uint64_t, Merge> merges_;
  std::vector<int32_t> results_;  // rank -> id
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_BPE_H_
