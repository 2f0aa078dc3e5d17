#include "common/nn/generation/generate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/weights/finite.h"

namespace mellow::nn {

absl::Status StepTogether(Seq2SeqModel& model, absl::Span<SequenceDecoder* const> decoders,
                          std::vector<float>* logits) {
  std::vector<DecodeRow*> rows;
  std::vector<int32_t> tokens;
  for (const SequenceDecoder* decoder : decoders) {
    rows.insert(rows.end(), decoder->rows().begin(), decoder->rows().end());
    tokens.insert(tokens.end(), decoder->tokens().begin(), decoder->tokens().end());
  }
  if (rows.empty()) return absl::OkStatus();
  MELLOW_RETURN_IF_ERROR(model.Step(rows, tokens, logits));
  const size_t vocab = model.config().vocab_size;
  const float* at = logits->data();
  for (SequenceDecoder* decoder : decoders) {
    const size_t count = decoder->rows().size() * vocab;
    if (count == 0) continue;
    const absl::Span<const float> own = absl::MakeConstSpan(at, count);
    at += count;
    absl::Status status = Caught([&]() -> absl::Status {
      MELLOW_RETURN_IF_ERROR(CheckComputed(own, "logits"));
      return decoder->Advance(model, own);
    });
    if (!status.ok()) decoder->Fail(std::move(status));
  }
  return absl::OkStatus();
}

UnpaddedSource WithoutPadding(const T5Config& config, absl::Span<const int32_t> source_ids) {
  UnpaddedSource source{{source_ids.begin(), source_ids.end()}, {}};
  const std::optional<int32_t> pad = config.generation.pad_token_id;
  if (!pad || config.IsEnd(*pad)) return source;
  const auto padding = std::count(source_ids.begin(), source_ids.end(), *pad);
  if (padding == 0 || padding == static_cast<ptrdiff_t>(source_ids.size())) return source;
  source.ids.clear();
  for (size_t i = 0; i < source_ids.size(); ++i) {
    if (source_ids[i] == *pad) continue;
    source.ids.push_back(source_ids[i]);
    source.positions.push_back(static_cast<int32_t>(i));
  }
  // Only distances count.
  const int32_t first = source.positions.front();
  for (int32_t& position : source.positions) position -= first;
  if (source.positions.back() + 1 == static_cast<int32_t>(source.ids.size()))
    source.positions.clear();
  return source;
}

UnpaddedSource EncodedSource(const T5Config& config, absl::Span<const int32_t> source_ids,
                             bool mask_padding) {
  if (mask_padding) return WithoutPadding(config, source_ids);
  return {{source_ids.begin(), source_ids.end()}, {}};
}

absl::StatusOr<std::vector<GeneratedSequence>> Generate(Seq2SeqModel& model,
                                                        absl::Span<const GenerateItem> items) {
  const T5Config& config = model.config();
  std::vector<UnpaddedSource> sources;
  for (const GenerateItem& item : items)
    sources.push_back(EncodedSource(config, item.source_ids, item.mask_padding));
  std::vector<EncodeRequest> requests;
  for (size_t i = 0; i < items.size(); ++i) {
    const GenerateItem& item = items[i];
    MELLOW_RETURN_IF_ERROR(
        Annotate(item.params.Validate(config.vocab_size), absl::StrCat("item ", i)));
    requests.push_back({sources[i].ids, item.adapter, item.params.max_new_tokens,
                        sources[i].positions, item.value_head});
  }
  MELLOW_ASSIGN_OR_RETURN(auto rows, model.Encode(requests));
  std::vector<std::unique_ptr<SequenceDecoder>> decoders;
  std::vector<SequenceDecoder*> running;
  for (size_t i = 0; i < items.size(); ++i) {
    decoders.push_back(MakeSequenceDecoder(config, items[i].params, items[i].stream,
                                           items[i].source_ids, std::move(rows[i])));
    running.push_back(decoders.back().get());
  }
  std::vector<float> logits;
  while (!running.empty()) {
    MELLOW_RETURN_IF_ERROR(StepTogether(model, running, &logits));
    for (size_t i = 0; i < decoders.size(); ++i)
      MELLOW_RETURN_IF_ERROR(Annotate(decoders[i]->status(), absl::StrCat("item ", i)));
    std::erase_if(running, [](const SequenceDecoder* decoder) { return decoder->done(); });
  }
  std::vector<GeneratedSequence> sequences;
  for (const auto& decoder : decoders) sequences.push_back(decoder->sequence());
  return sequences;
}

}  // namespace mellow::nn
