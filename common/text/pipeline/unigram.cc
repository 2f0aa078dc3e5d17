#include "common/text/pipeline/unigram.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

constexpr double kUnkPenalty = 10.0;  // below the worst piece, as in sentencepiece

// The byte that a piece such as <0x41> stands for, or -1.
int ByteOfPiece(absl::string_view text) {
  uint32_t byte = 0;
  const bool shape = text.size() == 6 && text.substr(0, 3) == "<0x" && text.back() == '>' &&
                     absl::SimpleHexAtoi(text.substr(3, 2), &byte);
  // Written as the tokenizers write it, in upper case.
  return shape && text == absl::StrCat("<0x", absl::AsciiStrToUpper(text.substr(3, 2)), ">")
             ? static_cast<int>(byte)
             : -1;
}

}  // namespace

Unigram::Unigram(std::vector<Piece> pieces, int32_t unk_id, bool byte_fallback)
    : unk_id_(unk_id), byte_ids_(byte_fallback ? 256 : 0, -1) {
  std::vector<std::pair<std::string, int32_t>> entries;
  double min_score = 0;
  bool first = true;
  for (Piece& piece : pieces) {
    min_score = first ? piece.score : std::min(min_score, piece.score);
    first = false;
    if (scores_.size() <= static_cast<size_t>(piece.id)) scores_.resize(piece.id + 1, 0.0);
    scores_[piece.id] = piece.score;
    if (piece.id == unk_id) unk_text_ = piece.text;
    if (const int byte = ByteOfPiece(piece.text); byte_fallback && byte >= 0) {
      byte_ids_[byte] = piece.id;
    }
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
  // Adjacent unknown characters are one token, or its bytes.
  const auto unknown = [&](absl::string_view run, const auto& visit) {
    const auto id = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
    if (byte_ids_.empty() || run == unk_text_ ||
        std::any_of(run.begin(), run.end(), [&](char c) { return id(c) < 0; })) {
      visit(unk_id_);
      return;
    }
    std::for_each(run.rbegin(), run.rend(), [&](char c) { visit(id(c)); });
  };
  // The path from its end to its beginning.
  const auto walk = [&](const auto& visit) {
    size_t run_end = 0;  // of the unknown characters that begin at `end`; 0: there are none
    size_t end = word.size();
    while (end > 0) {
      const Scratch::Node& node = nodes[end];
      if (node.id != unk_id_) {
        if (run_end > 0) unknown(word.substr(end, run_end - end), visit);
        run_end = 0;
        visit(node.id);
      } else if (run_end == 0) {
        run_end = end;
      }
      end = static_cast<size_t>(node.begin);
    }
    if (run_end > 0) unknown(word.substr(0, run_end), visit);
  };
  size_t count = 0;
  walk([&](int32_t) { ++count; });
  ids->resize(ids->size() + count);
  auto at = ids->rbegin();
  walk([&](int32_t id) { *at++ = id; });
}

}  // namespace mellow::text
