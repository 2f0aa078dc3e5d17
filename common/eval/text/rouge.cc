#include "common/eval/text/rouge.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/eval/text/ngrams.h"
#include "common/eval/text/porter_stemmer.h"

namespace mellow::eval {
namespace {

using Tokens = std::vector<std::string>;

constexpr double kMaxCells = 4e8;

RougeScore FromHits(double hits, double predicted, double wanted) {
  RougeScore score;
  score.precision = hits / std::max(predicted, 1.0);
  score.recall = hits / std::max(wanted, 1.0);
  const double sum = score.precision + score.recall;
  score.fmeasure = sum > 0 ? 2 * score.precision * score.recall / sum : 0;
  return score;
}

std::map<std::string, int> CountNgrams(const Tokens& tokens, size_t n) {
  std::map<std::string, int> counts;
  ForEachNgram(tokens, n, [&](const std::string& ngram) { ++counts[ngram]; });
  return counts;
}

RougeScore ScoreNgrams(const Tokens& prediction, const Tokens& reference, size_t n) {
  const auto predicted = CountNgrams(prediction, n);
  int hits = 0;
  for (const auto& [ngram, count] : CountNgrams(reference, n)) {
    const auto found = predicted.find(ngram);
    if (found != predicted.end()) hits += std::min(count, found->second);
  }
  const auto number = [n](const Tokens& t) {
    return t.size() < n ? 0.0 : static_cast<double>(t.size() - n + 1);
  };
  return FromHits(hits, number(prediction), number(reference));
}

// Lengths of the longest common subsequence of every pair of prefixes, row by row.
class LcsTable {
 public:
  LcsTable(const Tokens& a, const Tokens& b)
      : columns_(b.size() + 1), cells_((a.size() + 1) * columns_) {
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        cells_[i * columns_ + j] =
            a[i - 1] == b[j - 1] ? At(i - 1, j - 1) + 1 : std::max(At(i - 1, j), At(i, j - 1));
      }
    }
  }
  uint32_t At(size_t i, size_t j) const { return cells_[i * columns_ + j]; }

 private:
  size_t columns_;
  std::vector<uint32_t> cells_;
};

RougeScore ScoreLcs(const Tokens& prediction, const Tokens& reference) {
  const LcsTable table(reference, prediction);
  return FromHits(table.At(reference.size(), prediction.size()),
                  static_cast<double>(prediction.size()), static_cast<double>(reference.size()));
}

// Adds the positions in `reference` of one longest common subsequence. Which one, where there are
// several, is rouge_score's choice.
void AddLcsPositions(const Tokens& reference, const Tokens& sentence, std::set<size_t>* positions) {
  const LcsTable table(reference, sentence);
  size_t i = reference.size();
  size_t j = sentence.size();
  while (i > 0 && j > 0) {
    if (reference[i - 1] == sentence[j - 1]) {
      positions->insert(i - 1);
      --i;
      --j;
    } else if (table.At(i, j - 1) > table.At(i - 1, j)) {
      --j;
    } else {
      --i;
    }
  }
}

// Section 3.2 of Lin's paper, with the clipping of ROUGE 1.5.5: no word counts more often than
// either side has it.
RougeScore ScoreSummaryLcs(const std::vector<Tokens>& prediction,
                           const std::vector<Tokens>& reference) {
  std::map<std::string, int> predicted_left;
  std::map<std::string, int> wanted_left;
  double predicted = 0;
  double wanted = 0;
  for (const Tokens& sentence : prediction) {
    for (const std::string& token : sentence) ++predicted_left[token];
    predicted += static_cast<double>(sentence.size());
  }
  for (const Tokens& sentence : reference) {
    for (const std::string& token : sentence) ++wanted_left[token];
    wanted += static_cast<double>(sentence.size());
  }
  double hits = 0;
  for (const Tokens& sentence : reference) {
    std::set<size_t> positions;
    for (const Tokens& candidate : prediction) AddLcsPositions(sentence, candidate, &positions);
    for (const size_t position : positions) {
      int& left = predicted_left[sentence[position]];
      int& right = wanted_left[sentence[position]];
      if (left <= 0 || right <= 0) continue;
      --left;
      --right;
      ++hits;
    }
  }
  return FromHits(hits, predicted, wanted);
}

std::vector<Tokens> SentenceTokens(absl::string_view text, bool stemmer) {
  std::vector<Tokens> sentences;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty()))
    sentences.push_back(RougeTokens(line, stemmer));
  return sentences;
}

void KeepBetter(const RougeScore& score, bool first, RougeScore* best) {
  if (first || score.fmeasure > best->fmeasure) *best = score;
}

}  // namespace

std::vector<std::string> RougeTokens(absl::string_view text, bool stemmer) {
  std::vector<std::string> tokens;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) tokens.push_back(stemmer && word.size() > 3 ? PorterStem(word) : word);
    word.clear();
  };
  while (!text.empty()) {
    char c = text[0];
    size_t bytes = 1;
    // The two letters beyond ASCII whose lower case begins with an ASCII letter: Kelvin's K and the
    // dotted capital I.
    const bool dotted = absl::StartsWith(text, "\xC4\xB0");
    if (absl::StartsWith(text, "\xE2\x84\xAA")) {
      c = 'k';
      bytes = 3;
    } else if (dotted) {
      c = 'i';
      bytes = 2;
    }
    text.remove_prefix(bytes);
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
      if (dotted) finish();  // a combining dot follows, which is not a letter
    } else {
      finish();
    }
  }
  finish();
  return tokens;
}

absl::StatusOr<RougeScores> ScoreRouge(absl::string_view prediction,
                                       absl::Span<const std::string> references, bool stemmer) {
  if (references.empty()) return absl::InvalidArgumentError("references: at least one is needed");
  const Tokens predicted = RougeTokens(prediction, stemmer);
  const std::vector<Tokens> predicted_sentences = SentenceTokens(prediction, stemmer);
  RougeScores best;
  bool first = true;
  for (const std::string& reference : references) {
    const Tokens wanted = RougeTokens(reference, stemmer);
    if (static_cast<double>(predicted.size()) * static_cast<double>(wanted.size()) > kMaxCells) {
      return absl::InvalidArgumentError(absl::StrCat("prediction of ", predicted.size(),
                                                     " words against a reference of ",
                                                     wanted.size(), " words: too long to compare"));
    }
    KeepBetter(ScoreNgrams(predicted, wanted, 1), first, &best.rouge1);
    KeepBetter(ScoreNgrams(predicted, wanted, 2), first, &best.rouge2);
    KeepBetter(ScoreLcs(predicted, wanted), first, &best.rouge_l);
    KeepBetter(ScoreSummaryLcs(predicted_sentences, SentenceTokens(reference, stemmer)), first,
               &best.rouge_lsum);
    first = false;
  }
  return best;
}

}  // namespace mellow::eval
