#include "common/text/pipeline/bpe.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/text/pipeline/byte_level.h"

namespace mellow::text {

absl::StatusOr<Bpe> Bpe::Create(const absl::flat_hash_map<std::string, int32_t>& vocab,
                                const Merges& merges, const Options& options) {
  Bpe bpe;
  bpe.options_ = options;
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = vocab.find(ByteCharacters()[byte]);
    bpe.byte_ids_[byte] = it == vocab.end() ? -1 : it->second;
  }
  int32_t rank = 0;
  for (const auto& [left_text, right_text] : merges) {
    const auto left = vocab.find(left_text);
    const auto right = vocab.find(right_text);
    const auto result = vocab.find(absl::StrCat(left_text, right_text));
    if (left == vocab.end() || right == vocab.end() || result == vocab.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("merge ", rank + 1, " (\"", absl::Utf8SafeCEscape(left_text), "\" \"",
                       absl::Utf8SafeCEscape(right_text),
                       "\") is not a pair of vocabulary entries that make a third"));
    }
    bpe.merges_[Key(left->second, right->second)] = {rank++, result->second};
    bpe.results_.push_back(result->second);
  }
  if (options.ignore_merges) {
    for (const auto& [text, id] : vocab) {
      if (auto bytes = BytesOfToken(text)) bpe.words_[*std::move(bytes)] = id;
    }
  }
  return bpe;
}

void Bpe::Offer(int32_t pos, Scratch* scratch) const {
  const Scratch::Symbol& symbol = scratch->symbols_[pos];
  if (symbol.next < 0) return;
  const auto merge = merges_.find(Key(symbol.id, scratch->symbols_[symbol.next].id));
  if (merge == merges_.end()) return;
  scratch->queue_.push_back({merge->second.rank, pos});
}

void Bpe::Encode(absl::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const {
  if (const auto it = words_.find(word); it != words_.end()) {
    ids->push_back(it->second);
    return;
  }
  auto& symbols = scratch->symbols_;
  auto& queue = scratch->queue_;
  symbols.clear();
  queue.clear();
  symbols.reserve(word.size());
  queue.reserve(word.size());
  bool fuse = false;  // the symbol before is an unknown one that takes in the next
  for (const char c : word) {
    const int32_t known = byte_ids_[static_cast<uint8_t>(c)];
    const int32_t id = known >= 0 ? known : options_.unk_id;
    const int32_t pos = static_cast<int32_t>(symbols.size());
    if (id >= 0 && !(known < 0 && fuse)) symbols.push_back({id, pos - 1, pos + 1});
    fuse = known < 0 && options_.fuse_unk;
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;
  for (size_t pos = 0; pos < symbols.size(); ++pos) Offer(static_cast<int32_t>(pos), scratch);
  std::make_heap(queue.begin(), queue.end());

  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end());
    const Scratch::Candidate best = queue.back();
    queue.pop_back();
    Scratch::Symbol& left = symbols[best.pos];
    if (left.id < 0 || left.next < 0) continue;
    Scratch::Symbol& right = symbols[left.next];
    const auto merge = merges_.find(Key(left.id, right.id));
    // An entry from before one of the two changed.
    if (merge == merges_.end() || merge->second.id != results_[best.rank]) continue;
    left.id = merge->second.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = best.pos;
    for (const int32_t pos : {left.previous, best.pos}) {
      const size_t size = queue.size();
      if (pos >= 0) Offer(pos, scratch);
      if (queue.size() > size) std::push_heap(queue.begin(), queue.end());
    }
  }
  for (int32_t pos = 0; pos >= 0; pos = symbols[pos].next) ids->push_back(symbols[pos].id);
}

}  // namespace mellow::text
