#ifndef MELLOW_COMMON_TEXT_PIPELINE_PIPELINE_H_
#define MELLOW_COMMON_TEXT_PIPELINE_PIPELINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/text/pipeline/added_tokens.h"
#include "common/text/pipeline/bpe.h"
#include "common/text/pipeline/decoder.h"
#include "common/text/pipeline/normalizer.h"
#include "common/text/pipeline/pre_tokenizer.h"
#include "common/text/pipeline/unigram.h"

namespace mellow::text {

// Bounds what a corrupt file can make us allocate; the largest vocabularies in use have some
// 250,000 entries.
inline constexpr int32_t kMaxVocabSize = 1 << 21;

// The special tokens around the ids of one text, or of two.
struct Frame {
  std::vector<int32_t> before, between, behind;
};

// The parts of a fast tokenizer, in the order in which a text passes them. What the files of a
// model folder come to, whichever they are.
struct Pipeline {
  AddedVocabulary added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::optional<std::variant<Unigram, Bpe>> model;
  ModelVocabulary vocabulary;       // of the model
  std::vector<std::string> pieces;  // of the model, by id; gaps are empty
  Frame single, pair;
  Decoder decoder;

  bool split_special_tokens = false;  // special tokens in a text are text
  bool truncate_left = false;
  bool clean_up_spaces = false;  // Decode takes the space before punctuation and English suffixes
  int model_max_length = 0;      // 0: none
  int32_t model_vocab_size = 0;  // of the embedding; ids that only it has are padding
  std::vector<std::string> warnings;

  void Add(const AddedToken& token) { added.Add(token, vocabulary); }
  [[nodiscard]] int32_t IdOf(const std::string& text) const { return added.IdOf(text, vocabulary); }
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_PIPELINE_H_
