#include "common/nn/generation/generate.h"

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
    absl::Status status = CheckComputed(own, "logits");
    if (status.ok()) status = decoder->Advance(model, own);
    if (!status.ok()) decoder->Fail(std::move(status));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<GeneratedSequence>> Generate(Seq2SeqModel& model,
                                                        absl::Span<const GenerateItem> items) {
  std::vector<EncodeRequest> requests;
  for (size_t i = 0; i < items.size(); ++i) {
    MELLOW_RETURN_IF_ERROR(Annotate(items[i].params.Validate(), absl::StrCat("item ", i)));
    requests.push_back({items[i].source_ids, items[i].adapter, items[i].params.max_new_tokens});
  }
  MELLOW_ASSIGN_OR_RETURN(auto rows, model.Encode(requests));
  std::vector<std::unique_ptr<SequenceDecoder>> decoders;
  std::vector<SequenceDecoder*> running;
  for (size_t i = 0; i < items.size(); ++i) {
    decoders.push_back(
        MakeSequenceDecoder(model.config(), items[i].params, items[i].stream, std::move(rows[i])));
    running.push_back(decoders.back().get());
  }
  std::vector<float> logits;
  while (!running.empty()) {
    MELLOW_RETURN_IF_ERROR(StepTogether(model, running, &logits));
    for (const SequenceDecoder* decoder : running) MELLOW_RETURN_IF_ERROR(decoder->status());
    std::erase_if(running, [](const SequenceDecoder* decoder) { return decoder->done(); });
  }
  std::vector<GeneratedSequence> sequences;
  for (const auto& decoder : decoders) sequences.push_back(decoder->sequence());
  return sequences;
}

}  // namespace mellow::nn
