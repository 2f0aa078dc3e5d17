#include "common/text/files/sentencepiece_model.h"

#include <google/protobuf/unknown_field_set.h>
#include <sentencepiece_processor.h>

#include <cmath>
#include <cstdint>
#include <exception>
#include <vector>

namespace mellow::text {
namespace {

using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// Field numbers and values of sentencepiece's ModelProto. The library gives no access to these, and
// installs no header for its messages.
constexpr int kPieces = 1, kPieceType = 3;
constexpr uint64_t kNormal = 1, kUserDefined = 4;
constexpr int kTrainerSpec = 2, kNormalizerSpec = 3, kSelfTestData = 4, kDenormalizerSpec = 5;
constexpr int kTrainerModelType = 3, kTrainerByteFallback = 35;
constexpr int kNormalizerCharsmap = 2;
constexpr uint64_t kUnigram = 1;

// The last field of that number and type, as protobuf reads one that is not repeated; nullptr:
// none.
const UnknownField* Last(const UnknownFieldSet& message, int number, UnknownField::Type type) {
  const UnknownField* found = nullptr;
  for (int i = 0; i < message.field_count(); ++i) {
    const UnknownField& field = message.field(i);
    if (field.number() == number && field.type() == type) found = &field;
  }
  return found;
}

// The message in that field, merged from all of them as protobuf does; false: one is no message.
bool SubMessage(const UnknownFieldSet& message, int number, UnknownFieldSet* sub) {
  std::string bytes;
  for (int i = 0; i < message.field_count(); ++i) {
    const UnknownField& field = message.field(i);
    if (field.number() == number && field.type() == UnknownField::TYPE_LENGTH_DELIMITED) {
      bytes += field.length_delimited();
    }
  }
  return sub->ParseFromString(bytes);
}

uint64_t Number(const UnknownFieldSet& message, int number, uint64_t absent) {
  const UnknownField* field = Last(message, number, UnknownField::TYPE_VARINT);
  return field == nullptr ? absent : field->varint();
}

}  // namespace

std::string ReadSentencePieceModel(const std::string& file, SentencePieceModel* model) {
  UnknownFieldSet message, trainer, normalizer;
  if (!message.ParseFromString(file) || !SubMessage(message, kTrainerSpec, &trainer) ||
      !SubMessage(message, kNormalizerSpec, &normalizer)) {
    return "not a SentencePiece model: cut off, or no protobuf at all";
  }
  if (const uint64_t type = Number(trainer, kTrainerModelType, kUnigram); type != kUnigram) {
    return "trainer_spec.model_type is " + std::to_string(type) +
           ": only unigram models (1) are known";
  }
  if (Number(trainer, kTrainerByteFallback, 0) != 0) {
    return "trainer_spec.byte_fallback is set: T5 has none";
  }
  if (const UnknownField* charsmap =
          Last(normalizer, kNormalizerCharsmap, UnknownField::TYPE_LENGTH_DELIMITED)) {
    model->precompiled_charsmap = charsmap->length_delimited();
  }
  std::vector<bool> user_defined;  // by id: the library does not say it
  for (int i = 0; i < message.field_count(); ++i) {
    const UnknownField& field = message.field(i);
    UnknownFieldSet piece;
    if (field.number() != kPieces || field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    const bool good = piece.ParseFromString(field.length_delimited());
    user_defined.push_back(good && Number(piece, kPieceType, kNormal) == kUserDefined);
  }
  // The library would follow a corrupt character map out of its memory when it runs the file's self
  // tests, and we only want the pieces of it.
  for (const int number : {kNormalizerSpec, kSelfTestData, kDenormalizerSpec}) {
    message.DeleteByNumber(number);
  }
  std::string pieces;
  if (!message.SerializeToString(&pieces)) return "not a SentencePiece model: too large";
  message.Clear();

  sentencepiece::SentencePieceProcessor processor;
  try {
    const auto status = processor.LoadFromSerializedProto(pieces);
    if (!status.ok()) return std::string("not a SentencePiece model: ") + status.error_message();
  } catch (const std::exception& error) {  // of its trie
    return std::string("not a SentencePiece model: ") + error.what();
  }
  user_defined.resize(static_cast<size_t>(processor.GetPieceSize()));
  model->unk_id = processor.unk_id();
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const float score = processor.GetScore(id);
    if (!std::isfinite(score)) {
      return "the score of piece " + std::to_string(id) + " is not finite";
    }
    model->pieces.push_back({.text = processor.IdToPiece(id),
                             .score = score,
                             .control = processor.IsControl(id),
                             .user_defined = user_defined[static_cast<size_t>(id)]});
  }
  return "";
}

}  // namespace mellow::text
