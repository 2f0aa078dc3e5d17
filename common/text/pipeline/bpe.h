#ifndef MELLOW_COMMON_TEXT_PIPELINE_BPE_H_
#define MELLOW_COMMON_TEXT_PIPELINE_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::text {

// What a byte-level BPE does beside its merges.
struct BpeOptions {
  int32_t unk_id = -1;         // of a byte that is not in the vocabulary; -1: it vanishes
  bool fuse_unk = false;       // adjacent unknown bytes are one
  bool ignore_merges = false;  // a word that is in the vocabulary is its one token
};

// The merges of a byte-level BPE. Immutable after Create, thread-safe.
class Bpe {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;
  using Options = BpeOptions;

  // `merges`: the best first. InvalidArgument: one whose parts or result are not in the vocabulary.
  [[nodiscard]] static absl::StatusOr<Bpe> Create(
      const absl::flat_hash_map<std::string, int32_t>& vocab, const Merges& merges,
      const Options& options = {});

  // Buffers that calls of one thread share.
  class Scratch {
    friend class Bpe;
    // One per byte of the word: small, because a word may be a whole text.
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

  // Appends the ids of the bytes of `word`. O(n log n). A word is shorter than 2 GiB.
  void Encode(absl::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const;

 private:
  struct MergeRule {
    int32_t rank;
    int32_t id;  // of the result
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  void Offer(int32_t pos, Scratch* scratch) const;

  std::array<int32_t, 256> byte_ids_;  // -1: not in the vocabulary
  absl::flat_hash_map<uint64_t, MergeRule> merges_;
  std::vector<int32_t> results_;  // rank -> id
  Options options_;
  absl::flat_hash_map<std::string, int32_t> words_;  // as bytes; empty unless ignore_merges
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_BPE_H_
