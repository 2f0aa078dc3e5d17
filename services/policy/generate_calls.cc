#include "services/policy/generate_calls.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/policy/proto_convert.h"
#include "services/policy/stream_calls.h"
#include "services/wire/text_limit.h"

namespace mellow::policy {
namespace {

// As the field of the proto says.
bool MasksPadding(const v1::Prompt& prompt) {
  return prompt.has_tokens() && !prompt.attend_to_pads();
}

absl::StatusOr<std::vector<int32_t>> SourceIds(const CallParts* parts, const v1::Prompt& prompt) {
  std::vector<int32_t> ids;
  switch (prompt.input_case()) {
    case v1::Prompt::kTokens:
      ids.assign(prompt.tokens().ids().begin(), prompt.tokens().ids().end());
      MELLOW_RETURN_IF_ERROR(parts->CheckIds(ids, "tokens.ids"));
      break;
    case v1::Prompt::kText: {
      if (prompt.text().empty()) return absl::InvalidArgumentError("text: is empty");
      MELLOW_RETURN_IF_ERROR(
          wire::CheckTextBytes(prompt.text(), parts->options.TextBytes(), "text"));
      MELLOW_ASSIGN_OR_RETURN(ids, parts->tokenizer->Encode(prompt.text()));
      break;
    }
    case v1::Prompt::INPUT_NOT_SET:
      return absl::InvalidArgumentError("input: tokens or text must be set");
  }
  if (ids.empty()) return absl::InvalidArgumentError("tokens.ids: is empty");
  if (static_cast<int>(ids.size()) > parts->options.SourceTokens())
    return absl::InvalidArgumentError(absl::StrCat("the prompt has ", ids.size(),
                                                   " tokens: at most ",
                                                   parts->options.SourceTokens(), " on this node"));
  return ids;
}

absl::StatusOr<std::vector<GenerateJob>> MakeJobs(
    const CallParts* parts, const v1::GenerateRequest& request, const nn::SamplingParams& params,
    Lane lane, const std::shared_ptr<const ServedAdapter>& adapter, const CallContext& call) {
  std::vector<GenerateJob> jobs;
  for (int i = 0; i < request.prompts_size(); ++i) {
    if (call.cancelled != nullptr && call.cancelled())
      return absl::CancelledError("the caller cancelled");
    const v1::Prompt& prompt = request.prompts(i);
    auto ids = SourceIds(parts, prompt);
    if (!ids.ok()) return Annotate(ids.status(), absl::StrCat("prompts[", i, "]"));
    GenerateJob job{*std::move(ids), params, {}, adapter, lane, call, nullptr, nullptr};
    job.mask_padding = MasksPadding(prompt);
    if (prompt.has_max_new_tokens()) {
      auto own_params =
          WithLength(params, prompt.max_new_tokens(), request.sampling(), parts->sampling);
      if (!own_params.ok()) return Annotate(own_params.status(), absl::StrCat("prompts[", i, "]"));
      job.params = *own_params;
    }
    job.stream = {prompt.has_prompt_index() ? prompt.prompt_index() : static_cast<uint64_t>(i),
                  prompt.sample_index()};
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace

absl::Status StartGenerate(const CallParts* parts, rpc::UnaryCall* call,
                           const v1::GenerateRequest* request, v1::GenerateResponse* response) {
  if (request->prompts().empty()) return absl::InvalidArgumentError("prompts: is empty");
  MELLOW_ASSIGN_OR_RETURN(const nn::SamplingParams params,
                          FromProto(request->sampling(), parts->sampling));
  MELLOW_ASSIGN_OR_RETURN(const Lane lane, FromProto(request->lane()));
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<const nn::ValueHead> value_head,
                          ValueHeadOf(*request, params, parts->model->config()));
  MELLOW_ASSIGN_OR_RETURN(auto adapter, parts->Pin(*request, parts->adapters->Newest()));
  const size_t count = static_cast<size_t>(request->prompts_size());
  MELLOW_ASSIGN_OR_RETURN(auto places, parts->engine->Reserve(lane, count));

  struct Batch {
    std::vector<int32_t> prompt_tokens;
    std::vector<absl::StatusOr<nn::GeneratedSequence>> sequences;
    std::atomic<size_t> open;
  };
  auto batch = std::make_shared<Batch>();
  batch->sequences.resize(count);
  batch->open = count;
  const auto fill_in = [parts, response, adapter, batch]() -> absl::Status {
    for (size_t i = 0; i < batch->sequences.size(); ++i) {
      const auto& sequence = batch->sequences[i];
      if (!sequence.ok()) return sequence.status();
      v1::Generation* generation = response->add_generations();
      // Prompts of others have no template whose end could be kept: too long a one was refused.
      generation->set_prompt_tokens(batch->prompt_tokens[i]);
      generation->set_uncut_prompt_tokens(batch->prompt_tokens[i]);
      generation->mutable_ids()->Add(sequence->ids.begin(), sequence->ids.end());
      generation->mutable_logprobs()->Add(sequence->logprobs.begin(), sequence->logprobs.end());
      generation->mutable_values()->Add(sequence->values.begin(), sequence->values.end());
      generation->set_finish_reason(ToProto(sequence->finish));
      MELLOW_ASSIGN_OR_RETURN(
          *generation->mutable_text(),
          parts->tokenizer->Decode(sequence->ids, /*skip_special_tokens=*/true));
    }
    *response->mutable_adapter() = ToProto(*adapter);
    return absl::OkStatus();
  };
  const auto submit = [=]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(std::vector<GenerateJob> jobs,
                            MakeJobs(parts, *request, params, lane, adapter, CallOf(*call)));
    for (size_t i = 0; i < jobs.size(); ++i) {
      batch->prompt_tokens.push_back(static_cast<int32_t>(jobs[i].source_ids.size()));
      jobs[i].value_head = value_head;
      jobs[i].done = [=](absl::StatusOr<nn::GeneratedSequence> sequence) {
        batch->sequences[i] = std::move(sequence);
        if (batch->open.fetch_sub(1) == 1) call->AnswerIn(parts->workers, fill_in);
      };
    }
    return parts->engine->Submit(std::move(jobs), places.get());
  };
  const bool tokens = std::all_of(request->prompts().begin(), request->prompts().end(),
                                  [](const v1::Prompt& prompt) { return prompt.has_tokens(); });
  if (tokens) return submit();  // a run's rollouts do not queue behind the texts of users
  call->ContinueIn(parts->workers, Workers::Urgency::kRequest, submit);
  return absl::OkStatus();
}

absl::Status StartGenerateStream(const CallParts* parts, const std::shared_ptr<TokenStream>& stream,
                                 const v1::GenerateStreamRequest* request) {
  MELLOW_ASSIGN_OR_RETURN(const nn::SamplingParams params,
                          FromProto(request->sampling(), parts->sampling));
  if (params.num_beams > 1)
    return absl::InvalidArgumentError(absl::StrCat(
        "sampling.num_beams ", params.num_beams,
        request->sampling().has_num_beams() ? "" : " (by the model's generation_config.json)",
        ": beam search cannot stream, use Generate or set it to 1"));
  MELLOW_ASSIGN_OR_RETURN(auto adapter, parts->Pin(*request, parts->adapters->ForUsers()));
  MELLOW_ASSIGN_OR_RETURN(auto places, parts->engine->Reserve(Lane::kUser, 1));

  auto feed = std::make_shared<SequenceFeed>();
  FeedStream(parts, stream, feed, places, [=]() -> absl::StatusOr<GenerateJob> {
    auto ids = SourceIds(parts, request->prompt());
    if (!ids.ok()) return Annotate(ids.status(), "prompt");
    return GenerateJob{*std::move(ids),
                       params,
                       {request->prompt().prompt_index(), request->prompt().sample_index()},
                       adapter,
                       Lane::kUser,
                       CallOf(*stream),
                       nullptr,
                       nullptr,
                       MasksPadding(request->prompt())};
  });
  using Next = TokenStream::Next;
  stream->Begin([parts, feed, adapter, sent = size_t{0},
                 sent_text = std::string()](v1::GenerateStreamResponse* part) mutable -> Next {
    const auto [state, now] = feed->Look(sent);
    if (state == SequenceFeed::State::kNothingNew) return {Next::kNothing, {}};
    if (!now.ok()) return {Next::kEnd, now.status()};
    part->mutable_ids()->Add(now->ids.begin() + sent, now->ids.end());
    part->mutable_logprobs()->Add(now->logprobs.begin() + sent, now->logprobs.end());
    sent = now->ids.size();
    const absl::StatusOr<std::string> text =
        parts->tokenizer->Decode(now->ids, /*skip_special_tokens=*/true);
    if (!text.ok()) return {Next::kEnd, text.status()};
    part->set_text(TakeNew(*text, &sent_text));
    if (state == SequenceFeed::State::kMore) return {Next::kMessage, {}};
    part->set_finish_reason(ToProto(now->finish));
    *part->mutable_adapter() = ToProto(*adapter);
    return {Next::kLast, {}};
  });
  return absl::OkStatus();
}

}  // namespace mellow::policy
