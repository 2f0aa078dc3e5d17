#include "common/text/spm_model.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/text/utf8.h"

namespace mellow::text {
namespace {

// The fields of a protobuf message, one after the other.
class WireReader {
 public:
  struct Field {
    uint32_t number = 0;
    uint64_t value = 0;       // of a varint or fixed number
    absl::string_view bytes;  // of a length-delimited field
  };

  explicit WireReader(absl::string_view message) : rest_(message) {}

  bool done() const { return rest_.empty(); }

  // nullopt: the bytes are no message.
  std::optional<Field> Next() {
    const auto tag = Varint();
    if (!tag.has_value() || *tag >> 3 == 0 || *tag >> 32 != 0) return std::nullopt;
    Field field;
    field.number = static_cast<uint32_t>(*tag >> 3);
    std::optional<uint64_t> value;
    switch (*tag & 7) {
      case 0:
        value = Varint();
        break;
      case 1:
        value = Fixed(8);
        break;
      case 5:
        value = Fixed(4);
        break;
      case 2:
        value = Varint();
        if (!value.has_value() || *value > rest_.size()) return std::nullopt;
        field.bytes = rest_.substr(0, *value);
        rest_.remove_prefix(*value);
        break;
      default:  // groups: not in this schema
        return std::nullopt;
    }
    if (!value.has_value()) return std::nullopt;
    field.value = *value;
    return field;
  }

 private:
  std::optional<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return std::nullopt;
      const uint8_t byte = rest_.front();
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::optional<uint64_t> Fixed(size_t bytes) {
    if (rest_.size() < bytes) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<uint8_t>(rest_[i]);
    rest_.remove_prefix(bytes);
    return value;
  }

  absl::string_view rest_;
};

// Field numbers and values of sentencepiece_model.proto.
constexpr uint32_t kModelPieces = 1, kModelTrainerSpec = 2, kModelNormalizerSpec = 3;
constexpr uint32_t kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr uint32_t kTrainerModelType = 3, kTrainerByteFallback = 35;
constexpr uint32_t kNormalizerCharsmap = 2;
constexpr uint64_t kTypeUnknown = 2, kModelUnigram = 1;

absl::Status Corrupt(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a SentencePiece model: ", what));
}

absl::Status ReadPiece(absl::string_view message, SpmModel* model, std::optional<int>* unk_id) {
  const int id = static_cast<int>(model->pieces.size());
  SpmModel::Piece piece;
  uint64_t type = 1;
  for (WireReader reader(message); !reader.done();) {
    const auto field = reader.Next();
    if (!field.has_value()) return Corrupt(absl::StrCat("piece ", id, " is cut off"));
    if (field->number == kPieceText) piece.text = std::string(field->bytes);
    if (field->number == kPieceScore) {
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
    }
    if (field->number == kPieceType) type = field->value;
  }
  if (piece.text.empty()) return Corrupt(absl::StrCat("piece ", id, " is empty"));
  if (FirstInvalidUtf8(piece.text) != absl::string_view::npos) {
    return Corrupt(absl::StrCat("piece ", id, " is not UTF-8"));
  }
  if (!std::isfinite(piece.score))
    return Corrupt(absl::StrCat("the score of piece ", id, " is not finite"));
  if (type == kTypeUnknown) *unk_id = id;
  model->pieces.push_back(std::move(piece));
  return absl::OkStatus();
}

absl::Status ReadTrainerSpec(absl::string_view message) {
  for (WireReader reader(message); !reader.done();) {
    const auto field = reader.Next();
    if (!field.has_value()) return Corrupt("trainer_spec is cut off");
    if (field->number == kTrainerModelType && field->value != kModelUnigram) {
      return absl::InvalidArgumentError(absl::StrCat("trainer_spec.model_type is ", field->value,
                                                     ": only unigram models (1) are known"));
    }
    if (field->number == kTrainerByteFallback && field->value != 0) {
      return absl::InvalidArgumentError("trainer_spec.byte_fallback is set: T5 has none");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadNormalizerSpec(absl::string_view message, SpmModel* model) {
  for (WireReader reader(message); !reader.done();) {
    const auto field = reader.Next();
    if (!field.has_value()) return Corrupt("normalizer_spec is cut off");
    if (field->number == kNormalizerCharsmap)
      model->precompiled_charsmap = std::string(field->bytes);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SpmModel> ParseSpmModel(absl::string_view file) {
  SpmModel model;
  std::optional<int> unk_id;
  for (WireReader reader(file); !reader.done();) {
    const auto field = reader.Next();
    if (!field.has_value()) {
      return Corrupt(
          absl::StrCat("cut off behind ", model.pieces.size(), " pieces, or no protobuf at all"));
    }
    if (field->number == kModelPieces)
      MELLOW_RETURN_IF_ERROR(ReadPiece(field->bytes, &model, &unk_id));
    if (field->number == kModelTrainerSpec) MELLOW_RETURN_IF_ERROR(ReadTrainerSpec(field->bytes));
    if (field->number == kModelNormalizerSpec) {
      MELLOW_RETURN_IF_ERROR(ReadNormalizerSpec(field->bytes, &model));
    }
  }
  if (!unk_id.has_value()) return Corrupt("it has no unknown piece");
  model.unk_id = *unk_id;
  return model;
}

}  // namespace mellow::text
