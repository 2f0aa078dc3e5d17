#include "services/policy/summary_calls.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/text/fitted_prompt.h"
#include "services/policy/proto_convert.h"
#include "services/policy/stream_calls.h"
#include "services/wire/text_limit.h"

namespace mellow::policy {
namespace {

// How a summary is made.
struct SummaryPlan {
  nn::SamplingParams params;
  std::shared_ptr<const ServedAdapter> adapter;
};

absl::StatusOr<std::shared_ptr<const SummaryPlan>> PlanSummary(
    const CallParts* parts, const v1::SummarizeRequest& request) {
  if (request.dialogue().empty()) return absl::InvalidArgumentError("dialogue: is empty");
  MELLOW_RETURN_IF_ERROR(
      wire::CheckTextBytes(request.dialogue(), parts->options.TextBytes(), "dialogue"));
  v1::SamplingParams sampling;
  if (request.has_max_new_tokens()) sampling.set_max_new_tokens(request.max_new_tokens());
  auto plan = std::make_shared<SummaryPlan>();
  MELLOW_ASSIGN_OR_RETURN(plan->params, FromProto(sampling, parts->sampling));
  MELLOW_ASSIGN_OR_RETURN(plan->adapter, parts->Pin(request, parts->adapters->ForUsers()));
  return plan;
}

// The ids of the prompt with the dialogue, whose end is left out where it is too long; the
// response gets how many.
absl::StatusOr<std::vector<int32_t>> FitDialogue(const CallParts* parts,
                                                 const std::string& dialogue,
                                                 const nn::SamplingParams& params,
                                                 v1::SummarizeResponse* response) {
  const int64_t room =
      parts->options.max_batch_tokens - int64_t{params.max_new_tokens} * params.num_beams;
  auto prompt = text::FitPrompt(
      *parts->tokenizer,
      [parts](absl::string_view text) {
        return absl::StrReplaceAll(parts->options.prompt_template, {{"{dialogue}", text}});
      },
      dialogue, static_cast<int>(std::clamp<int64_t>(room, 1, parts->options.SourceTokens())));
  if (!prompt.ok()) return Annotate(prompt.status(), "dialogue");
  response->set_prompt_tokens(prompt->tokens());
  response->set_uncut_prompt_tokens(prompt->uncut_tokens);
  response->set_truncated(prompt->truncated());
  return std::move(prompt->ids);
}

absl::Status FillSummary(const CallParts* parts, const nn::GeneratedSequence& sequence,
                         const ServedAdapter& adapter, v1::SummarizeResponse* response) {
  MELLOW_ASSIGN_OR_RETURN(*response->mutable_summary(),
                          parts->tokenizer->Decode(sequence.ids, /*skip_special_tokens=*/true));
  response->set_summary_tokens(static_cast<int32_t>(sequence.ids.size()));
  *response->mutable_adapter() = ToProto(adapter);
  return absl::OkStatus();
}

}  // namespace

absl::Status StartSummarize(const CallParts* parts, rpc::UnaryCall* call,
                            const v1::SummarizeRequest* request, v1::SummarizeResponse* response) {
  MELLOW_ASSIGN_OR_RETURN(const auto plan, PlanSummary(parts, *request));
  MELLOW_ASSIGN_OR_RETURN(auto places, parts->engine->Reserve(Lane::kUser, 1));
  call->ContinueIn(parts->workers, Workers::Urgency::kRequest, [=]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(auto ids,
                            FitDialogue(parts, request->dialogue(), plan->params, response));
    std::vector<GenerateJob> jobs(1);
    jobs[0] = {std::move(ids),
               plan->params,
               {},
               plan->adapter,
               Lane::kUser,
               CallOf(*call),
               nullptr,
               [=](absl::StatusOr<nn::GeneratedSequence> sequence) {
                 call->AnswerIn(parts->workers, [=, sequence = std::move(sequence)] {
                   return sequence.ok() ? FillSummary(parts, *sequence, *plan->adapter, response)
                                        : sequence.status();
                 });
               }};
    return parts->engine->Submit(std::move(jobs), places.get());
  });
  return absl::OkStatus();
}

absl::Status StartSummarizeStream(const CallParts* parts,
                                  const std::shared_ptr<SummaryStream>& stream,
                                  const v1::SummarizeRequest* request) {
  MELLOW_ASSIGN_OR_RETURN(const auto plan, PlanSummary(parts, *request));
  MELLOW_ASSIGN_OR_RETURN(auto places, parts->engine->Reserve(Lane::kUser, 1));
  auto feed = std::make_shared<SequenceFeed>();
  // Written before the job is submitted, so before there is anything to pull.
  auto result = std::make_shared<v1::SummarizeResponse>();
  FeedStream(parts, stream, feed, places, [=]() -> absl::StatusOr<GenerateJob> {
    MELLOW_ASSIGN_OR_RETURN(auto ids,
                            FitDialogue(parts, request->dialogue(), plan->params, result.get()));
    return GenerateJob{std::move(ids), plan->params, {},
                       plan->adapter,  Lane::kUser,  CallOf(*stream)};
  });
  using Next = SummaryStream::Next;
  stream->Begin([parts, plan, feed, result, seen = size_t{0},
                 sent = std::string()](v1::SummarizeStreamResponse* part) mutable -> Next {
    const auto [state, now] = feed->Look(seen);
    if (state == SequenceFeed::State::kNothingNew) return {Next::kNothing, {}};
    if (!now.ok()) return {Next::kEnd, now.status()};
    seen = now->ids.size();
    const absl::Status filled = FillSummary(parts, *now, *plan->adapter, result.get());
    if (!filled.ok()) return {Next::kEnd, filled};
    // Whole words: what follows may still change how the last one is written.
    const bool more = state == SequenceFeed::State::kMore;
    absl::string_view text = result->summary();
    if (more) {
      const size_t blank = text.rfind(' ');
      text = text.substr(0, blank == absl::string_view::npos ? 0 : blank);
    }
    part->set_text(TakeNew(text, &sent));
    if (more) return {part->text().empty() ? Next::kNothing : Next::kMessage, {}};
    *part->mutable_result() = *result;
    return {Next::kLast, {}};
  });
  return absl::OkStatus();
}

}  // namespace mellow::policy
