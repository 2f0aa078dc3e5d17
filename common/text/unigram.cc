#include "common/text/unigram.h"

#include <algorithm>

#include "common/text/utf8.h"

namespace mellow::text {
namespace {

constexpr double kUnkPenalty = 10.0;  // below the worst piece, as in sentencepiece

}  // namespace

Unigram::Unigram(std::vector<Piece> pieces, int32_t unk_id) : unk_id_(unk_id) {
  std::vector<std::pair<std::string, int32_t>> entries;
  double min_score = 0;
  bool first = true;
  for (Piece& piece : pieces) {
    min_score = first ? piece.score : std::min(min_score, piece.score);
    first = false;
    if (scores_.size() <= static_cast<size_t>(piece.id)) scores_.resize(piece.id + 1, 0.0);
    scores_[piece.id] = piece.score;
    entries.emplace_back(std::move(piece.text), piece.id);
  }
  unk_score_ = min_score - kUnkPenalty;
  trie_ = ByteTrie(std::move(entries));
}

void Unigram::Encode(absl::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const {
  std::vector<Scratch::Node>& nodes =
      scratch->nodes;  // nodes[i]: the best path that ends at byte i
  nodes.assign(word.size() + 1, {0.0, -1, 0});
  const auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
    Scratch::Node& node = nodes[end];
    if (node.begin < 0 || score > node.score) node = {score, static_cast<int32_t>(begin), id};
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t char_size = DecodeUtf8(word, begin).size;
    const double score = nodes[begin].score;
    bool known = false;  // the character itself is a piece
    trie_.ForEachPrefix(word.substr(begin), [&](size_t length, int32_t id) {
      offer(begin, begin + length, id, score + scores_[id]);
      known = known || length == char_size;
    });
    if (!known) offer(begin, begin + char_size, unk_id_, score + unk_score_);
    begin += char_size;
  }
  // The path from its end to its beginning; of adjacent unknown characters the last stands for all.
  const auto walk = [&](const auto& visit) {
    bool after_unk = false;
    for (size_t end = word.size(); end > 0; end = static_cast<size_t>(nodes[end].begin)) {
      const bool unk = nodes[end].id == unk_id_;
      if (!unk || !after_unk) visit(nodes[end].id);
      after_unk = unk;
    }
  };
  size_t count = 0;
  walk([&](int32_t) { ++count; });
  ids->resize(ids->size() + count);
  auto at = ids->rbegin();
  walk([&](int32_t id) { *at++ = id; });
}

}  // namespace mellow::text
