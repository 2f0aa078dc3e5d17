#include "common/text/pipeline_tokenizer.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/text/pipeline/vocabulary.h"

namespace mellow::text {
namespace {

using Ids = std::vector<int32_t>;

// How many tokens of two texts of these sizes stay where `room` do: the longer text is cut down to
// the shorter one, then both alike.
std::pair<size_t, size_t> LongestFirst(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const bool swapped = first > second;
  size_t low = std::min(first, second);
  size_t high = low > room ? low : std::max(low, room - low);
  if (low + high > room) {
    low = room / 2;
    high = low + room % 2;
  }
  return swapped ? std::make_pair(high, low) : std::make_pair(low, high);
}

// The clean-up of transformers' decode: one replacement after the other.
std::string CleanUpSpaces(std::string text) {
  constexpr std::pair<const char*, const char*> kReplacements[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kReplacements) text = absl::StrReplaceAll(text, {{from, to}});
  return text;
}

class PipelineTokenizer : public Tokenizer {
 public:
  explicit PipelineTokenizer(Pipeline parts)
      : vocabulary_(std::move(parts.pieces), parts.added, parts.model_vocab_size),
        raw_splitter_(parts.added, /*normalized=*/false, parts.split_special_tokens,
                      [](absl::string_view text) { return std::string(text); }),
        normalized_splitter_(
            parts.added, /*normalized=*/true, parts.split_special_tokens,
            [&](absl::string_view text) { return parts.normalizer.Normalize(text); }),
        parts_(std::move(parts)) {
    parts_.vocabulary.ids.clear();  // only needed while tokens are added
  }

  absl::StatusOr<Ids> Encode(absl::string_view text, int max_tokens) const override {
    const Frame& frame = parts_.single;
    MELLOW_ASSIGN_OR_RETURN(const size_t room, Room(frame, max_tokens));
    Ids ids = frame.before;
    MELLOW_RETURN_IF_ERROR(EncodeContent(text, room, &ids));
    Cut(frame.before.size(), room, &ids);
    Append(frame.behind, &ids);
    return ids;
  }

  absl::StatusOr<Ids> EncodePair(absl::string_view first, absl::string_view second,
                                 int max_tokens) const override {
    const Frame& frame = parts_.pair;
    MELLOW_ASSIGN_OR_RETURN(const size_t room, Room(frame, max_tokens));
    // Whole, because which one is the longer decides what is cut.
    Ids ids = frame.before;
    MELLOW_RETURN_IF_ERROR(Annotate(EncodeContent(first, SIZE_MAX, &ids), "text"));
    Ids rest;
    MELLOW_RETURN_IF_ERROR(Annotate(EncodeContent(second, SIZE_MAX, &rest), "text_pair"));
    const auto [stay, rest_stay] =
        LongestFirst(ids.size() - frame.before.size(), rest.size(), room);
    Cut(frame.before.size(), stay, &ids);
    Cut(0, rest_stay, &rest);
    Append(frame.between, &ids);
    Append(rest, &ids);
    Append(frame.behind, &ids);
    return ids;
  }

  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special_tokens) const override {
    MELLOW_ASSIGN_OR_RETURN(const auto texts, vocabulary_.Texts(ids, skip_special_tokens));
    std::string text = parts_.decoder.Decode(texts);
    return parts_.clean_up_spaces ? CleanUpSpaces(std::move(text)) : text;
  }

  int vocab_size() const override { return vocabulary_.size(); }

  const std::vector<std::string>& warnings() const override { return parts_.warnings; }
  int model_max_length() const override {
    return parts_.model_max_length > 0 ? parts_.model_max_length : INT_MAX;
  }

  // Whether each added token can be found and each special token of a frame has a text.
  absl::Status Check() const {
    if (vocab_size() > kMaxVocabSize) {
      return absl::InvalidArgumentError(
          absl::StrCat(vocab_size(), " tokens: at most ", kMaxVocabSize, " are supported"));
    }
    for (const Frame& frame : {parts_.single, parts_.pair}) {
      for (const Ids& part : {frame.before, frame.between, frame.behind}) {
        for (const int32_t id : part) {
          if (id >= 0 && id < vocab_size()) continue;
          return absl::InvalidArgumentError(
              absl::StrCat("post_processor: the special token ", id, " is not in the vocabulary"));
        }
      }
    }
    for (const auto& [id, token] : parts_.added.by_id()) {
      if (token.normalized && parts_.normalizer.Normalize(token.content).empty()) {
        return absl::InvalidArgumentError(absl::StrCat("the added token \"", token.content,
                                                       "\": the normalizer leaves nothing of it"));
      }
    }
    return absl::OkStatus();
  }

 private:
  // How many tokens of content there is room for; SIZE_MAX: any number.
  static absl::StatusOr<size_t> Room(const Frame& frame, int max_tokens) {
    if (max_tokens <= 0) return SIZE_MAX;
    const size_t special = frame.before.size() + frame.between.size() + frame.behind.size();
    if (static_cast<size_t>(max_tokens) < special) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_tokens is ", max_tokens, ": the special tokens alone are ", special));
    }
    return static_cast<size_t>(max_tokens) - special;
  }

  static void Append(const Ids& from, Ids* to) { to->insert(to->end(), from.begin(), from.end()); }

  // Leaves `stay` of the ids behind the first `kept`.
  void Cut(size_t kept, size_t stay, Ids* ids) const {
    if (ids->size() - kept <= stay) return;
    const size_t excess = ids->size() - kept - stay;
    const auto begin = parts_.truncate_left ? ids->begin() + static_cast<std::ptrdiff_t>(kept)
                                            : ids->end() - static_cast<std::ptrdiff_t>(excess);
    ids->erase(begin, begin + static_cast<std::ptrdiff_t>(excess));
  }

  // Appends the ids of `text`. What comes behind the first `room` of them is not looked at, unless
  // they are the ones that stay.
  absl::Status EncodeContent(absl::string_view text, size_t room, Ids* ids) const {
    if (const size_t bad = FirstInvalidUtf8(text); bad != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", bad));
    }
    const size_t enough = parts_.truncate_left || room == SIZE_MAX ? SIZE_MAX : ids->size() + room;
    Scratch scratch;
    const auto more = [&] { return ids->size() < enough; };
    raw_splitter_.ForEachPart(text, [&](const TextPart& raw) {
      if (raw.id >= 0) {
        ids->push_back(raw.id);
        return more();
      }
      std::string buffer;
      absl::string_view normalized = raw.text;
      bool moved = false;
      if (!parts_.normalizer.empty()) {
        normalized = buffer = parts_.normalizer.Normalize(raw.text, &moved);
      }
      const bool at_start = raw.text.data() == text.data() && !moved;
      normalized_splitter_.ForEachPart(normalized, [&](const TextPart& part) {
        if (part.id >= 0) {
          ids->push_back(part.id);
          return more();
        }
        parts_.pre_tokenizer.ForEachWord(
            part.text, at_start && part.text.data() == normalized.data(),
            [&](absl::string_view word) {
              std::visit([&](const auto& model) { EncodeWord(model, word, &scratch, ids); },
                         *parts_.model);
              return more();
            });
        return more();
      });
      return more();
    });
    return absl::OkStatus();
  }

  struct Scratch {
    Unigram::Scratch unigram;
    Bpe::Scratch bpe;
  };
  static void EncodeWord(const Unigram& model, absl::string_view word, Scratch* scratch, Ids* ids) {
    model.Encode(word, &scratch->unigram, ids);
  }
  static void EncodeWord(const Bpe& model, absl::string_view word, Scratch* scratch, Ids* ids) {
    model.Encode(word, &scratch->bpe, ids);
  }

  Vocabulary vocabulary_;
  AddedTokenSplitter raw_splitter_;
  AddedTokenSplitter normalized_splitter_;
  Pipeline parts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakePipelineTokenizer(Pipeline pipeline) {
  auto tokenizer = std::make_unique<PipelineTokenizer>(std::move(pipeline));
  MELLOW_RETURN_IF_ERROR(tokenizer->Check());
  return tokenizer;
}

}  // namespace mellow::text
