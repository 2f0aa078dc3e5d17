#include "services/policy/policy_service.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/adapters/peft.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/client.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "common/text/fitted_prompt.h"
#include "services/policy/proto_convert.h"
#include "services/policy/sequence_feed.h"
#include "services/wire/text_limit.h"

namespace mellow::policy {
namespace {

constexpr char kChampionHelp[] =
    "What users get when they ask for no version; none: the base model.";

constexpr int kWorkers = 2;

// The newest adapter and a champion.
constexpr size_t kGivenAdapters = 2;
// Of one transfer between nodes; the orchestrator sends the adapter itself to a node that could not
// get it.
constexpr absl::Duration kFetchTimeout = absl::Seconds(10);

// The adapter as the policy node at `address` has it. The errors of the call and of the stream.
absl::StatusOr<wire::ReceivedAdapter> FetchFrom(const std::string& address,
                                                const common::v1::AdapterRef& ref,
                                                grpc::ServerContext* parent) {
  const auto stub = v1::PolicyService::NewStub(rpc::MakeChannel(address));
  const auto context = grpc::ClientContext::FromServerContext(*parent);  // ends with its caller
  rpc::SetTimeout(context.get(), kFetchTimeout);
  v1::FetchAdapterRequest request;
  *request.mutable_adapter() = ref;
  const auto reader = stub->FetchAdapter(context.get(), request);
  auto received = wire::ReceiveAdapter(
      [&](common::v1::AdapterChunk* chunk) { return reader->Read(chunk); }, wire::kMaxAdapterBytes);
  // A peer that refused says why: that is worth more than "the stream is too short".
  for (common::v1::AdapterChunk rest; reader->Read(&rest);) {
  }
  if (const grpc::Status status = reader->Finish(); !status.ok())
    return rpc::FromGrpcStatus(status, address);
  return received;
}

// What `text` adds to what was sent of it, which grows by that; nothing where it does not go on.
std::string TakeNew(absl::string_view text, std::string* sent) {
  if (text.size() <= sent->size() || !absl::StartsWith(text, *sent)) return "";
  std::string added(text.substr(sent->size()));
  sent->append(added);
  return added;
}

// `call`: a rpc::UnaryCall or PulledStream.
template <typename Call>
CallContext CallOf(const Call& call) {
  return {call.deadline(), call.gone()};
}

// As the field of the proto says.
bool MasksPadding(const v1::Prompt& prompt) {
  return prompt.has_tokens() && !prompt.attend_to_pads();
}

}  // namespace

PolicyServiceImpl::PolicyServiceImpl(const PolicyOptions& options, std::string device,
                                     nn::Seq2SeqModel* model, const nn::ModelHash* model_hash,
                                     const text::Tokenizer* tokenizer, AdapterTable* adapters,
                                     PolicyEngine* engine, obs::Metrics* metrics,
                                     rpc::CallLimiter* limiter)
    : options_(options),
      device_(std::move(device)),
      model_(model),
      model_hash_(model_hash),
      tokenizer_(tokenizer),
      adapters_(adapters),
      engine_(engine),
      metrics_(metrics),
      limiter_(limiter),
      sampling_{model->config().generation.Defaults(options.default_max_new_tokens,
                                                    options.max_new_tokens),
                options.max_new_tokens, model->config().vocab_size},
      adapter_version_(
          metrics->AddGauge("mellow_policy_adapter_version",
                            "Version of the newest adapter of this node; 0: it has none.")),
      workers_(kWorkers) {}

grpc::ServerUnaryReactor* PolicyServiceImpl::Generate(grpc::CallbackServerContext* context,
                                                      const v1::GenerateRequest* request,
                                                      v1::GenerateResponse* response) {
  return rpc::UnaryCall::Make(
      *context, limiter_->Enter(context, *request, WorkOf(*request)),
      [&](rpc::UnaryCall* call) { return StartGenerate(call, request, response); });
}
grpc::ServerWriteReactor<v1::GenerateStreamResponse>* PolicyServiceImpl::GenerateStream(
    grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) {
  return TokenStream::Make(
      *context, &workers_, limiter_->Enter(context, *request, WorkOf(*request)),
      [&](const std::shared_ptr<TokenStream>& stream) { return StartStream(stream, request); });
}
grpc::ServerUnaryReactor* PolicyServiceImpl::Summarize(grpc::CallbackServerContext* context,
                                                       const v1::SummarizeRequest* request,
                                                       v1::SummarizeResponse* response) {
  return rpc::UnaryCall::Make(
      *context, limiter_->Enter(context, *request, WorkOf(*request)),
      [&](rpc::UnaryCall* call) { return StartSummarize(call, request, response); });
}
grpc::ServerWriteReactor<v1::SummarizeStreamResponse>* PolicyServiceImpl::SummarizeStream(
    grpc::CallbackServerContext* context, const v1::SummarizeRequest* request) {
  return SummaryStream::Make(*context, &workers_,
                             limiter_->Enter(context, *request, WorkOf(*request)),
                             [&](const std::shared_ptr<SummaryStream>& stream) {
                               return StartSummarizeStream(stream, request);
                             });
}
grpc::ServerUnaryReactor* PolicyServiceImpl::ScoreTokens(grpc::CallbackServerContext* context,
                                                         const v1::ScoreTokensRequest* request,
                                                         v1::ScoreTokensResponse* response) {
  return rpc::UnaryCall::Make(
      *context, limiter_->Enter(context, *request, WorkOf(*request)),
      [&](rpc::UnaryCall* call) { return StartScoreTokens(call, request, response); });
}
grpc::Status PolicyServiceImpl::PublishAdapter(grpc::ServerContext* context,
                                               grpc::ServerReader<common::v1::AdapterChunk>* reader,
                                               v1::PublishAdapterResponse* response) {
  return limiter_->Answer(context, [&] {
    return rpc::Answer(*context, [&] { return PublishAdapterImpl(context, *reader, *response); });
  });
}

absl::Status PolicyServiceImpl::CheckIds(absl::Span<const int32_t> ids,
                                         absl::string_view field) const {
  for (int32_t id : ids) {
    if (id < 0 || id >= model_->config().vocab_size)
      return absl::InvalidArgumentError(absl::StrCat(
          field, " has ", id, ": outside the vocabulary of ", model_->config().vocab_size));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> PolicyServiceImpl::SourceIds(const v1::Prompt& prompt) const {
  std::vector<int32_t> ids;
  switch (prompt.input_case()) {
    case v1::Prompt::kTokens:
      ids.assign(prompt.tokens().ids().begin(), prompt.tokens().ids().end());
      MELLOW_RETURN_IF_ERROR(CheckIds(ids, "tokens.ids"));
      break;
    case v1::Prompt::kText: {
      if (prompt.text().empty()) return absl::InvalidArgumentError("text: is empty");
      MELLOW_RETURN_IF_ERROR(wire::CheckTextBytes(prompt.text(), options_.TextBytes(), "text"));
      MELLOW_ASSIGN_OR_RETURN(ids, tokenizer_->Encode(prompt.text()));
      break;
    }
    case v1::Prompt::INPUT_NOT_SET:
      return absl::InvalidArgumentError("input: tokens or text must be set");
  }
  if (ids.empty()) return absl::InvalidArgumentError("tokens.ids: is empty");
  if (static_cast<int>(ids.size()) > options_.SourceTokens())
    return absl::InvalidArgumentError(absl::StrCat("the prompt has ", ids.size(),
                                                   " tokens: at most ", options_.SourceTokens(),
                                                   " on this node"));
  return ids;
}

absl::StatusOr<std::vector<GenerateJob>> PolicyServiceImpl::MakeJobs(
    const v1::GenerateRequest& request, const nn::SamplingParams& params, Lane lane,
    const std::shared_ptr<const ServedAdapter>& adapter, const CallContext& call) const {
  std::vector<GenerateJob> jobs;
  for (int i = 0; i < request.prompts_size(); ++i) {
    if (call.cancelled != nullptr && call.cancelled())
      return absl::CancelledError("the caller cancelled");
    const v1::Prompt& prompt = request.prompts(i);
    auto ids = SourceIds(prompt);
    if (!ids.ok()) return Annotate(ids.status(), absl::StrCat("prompts[", i, "]"));
    GenerateJob job{*std::move(ids), params, {}, adapter, lane, call, nullptr, nullptr};
    job.mask_padding = MasksPadding(prompt);
    if (prompt.has_max_new_tokens()) {
      auto own_params = WithLength(params, prompt.max_new_tokens(), request.sampling(), sampling_);
      if (!own_params.ok()) return Annotate(own_params.status(), absl::StrCat("prompts[", i, "]"));
      job.params = *own_params;
    }
    job.stream = {prompt.has_prompt_index() ? prompt.prompt_index() : static_cast<uint64_t>(i),
                  prompt.sample_index()};
    jobs.push_back(std::move(job));
  }
  return jobs;
}

absl::Status PolicyServiceImpl::StartGenerate(rpc::UnaryCall* call,
                                              const v1::GenerateRequest* request,
                                              v1::GenerateResponse* response) {
  if (request->prompts().empty()) return absl::InvalidArgumentError("prompts: is empty");
  MELLOW_ASSIGN_OR_RETURN(const nn::SamplingParams params,
                          FromProto(request->sampling(), sampling_));
  MELLOW_ASSIGN_OR_RETURN(const Lane lane, FromProto(request->lane()));
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<const nn::ValueHead> value_head,
                          ValueHeadOf(*request, params, model_->config()));
  MELLOW_ASSIGN_OR_RETURN(auto adapter, Pin(*request, adapters_->Newest()));
  const size_t count = static_cast<size_t>(request->prompts_size());
  MELLOW_ASSIGN_OR_RETURN(auto places, engine_->Reserve(lane, count));

  struct Batch {
    std::vector<int32_t> prompt_tokens;
    std::vector<absl::StatusOr<nn::GeneratedSequence>> sequences;
    std::atomic<size_t> open;
  };
  auto batch = std::make_shared<Batch>();
  batch->sequences.resize(count);
  batch->open = count;
  const auto answer = [this, call, response, adapter, batch] {
    for (size_t i = 0; i < batch->sequences.size(); ++i) {
      const auto& sequence = batch->sequences[i];
      if (!sequence.ok()) return call->Answer(sequence.status());
      v1::Generation* generation = response->add_generations();
      // Prompts of others have no template whose end could be kept: too long a one was refused.
      generation->set_prompt_tokens(batch->prompt_tokens[i]);
      generation->set_uncut_prompt_tokens(batch->prompt_tokens[i]);
      generation->mutable_ids()->Add(sequence->ids.begin(), sequence->ids.end());
      generation->mutable_logprobs()->Add(sequence->logprobs.begin(), sequence->logprobs.end());
      generation->mutable_values()->Add(sequence->values.begin(), sequence->values.end());
      generation->set_finish_reason(ToProto(sequence->finish));
      auto text = tokenizer_->Decode(sequence->ids, /*skip_special_tokens=*/true);
      if (!text.ok()) return call->Answer(text.status());
      generation->set_text(*std::move(text));
    }
    *response->mutable_adapter() = ToProto(*adapter);
    call->Answer(absl::OkStatus());
  };
  const auto submit = [=, this]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(std::vector<GenerateJob> jobs,
                            MakeJobs(*request, params, lane, adapter, CallOf(*call)));
    for (size_t i = 0; i < jobs.size(); ++i) {
      batch->prompt_tokens.push_back(static_cast<int32_t>(jobs[i].source_ids.size()));
      jobs[i].value_head = value_head;
      jobs[i].done = [this, answer, batch, i](absl::StatusOr<nn::GeneratedSequence> sequence) {
        batch->sequences[i] = std::move(sequence);
        if (batch->open.fetch_sub(1) == 1) workers_.Add(Workers::Urgency::kAnswer, answer);
      };
    }
    return engine_->Submit(std::move(jobs), places.get());
  };
  const bool tokens = std::all_of(request->prompts().begin(), request->prompts().end(),
                                  [](const v1::Prompt& prompt) { return prompt.has_tokens(); });
  if (tokens) return submit();  // a run's rollouts do not queue behind the texts of users
  workers_.Add(Workers::Urgency::kRequest, [call, submit] {
    if (call->gone()()) return call->Answer(absl::CancelledError("the caller cancelled"));
    if (absl::Status status = submit(); !status.ok()) call->Answer(status);
  });
  return absl::OkStatus();
}

absl::Status PolicyServiceImpl::StartStream(const std::shared_ptr<TokenStream>& stream,
                                            const v1::GenerateStreamRequest* request) {
  MELLOW_ASSIGN_OR_RETURN(const nn::SamplingParams params,
                          FromProto(request->sampling(), sampling_));
  if (params.num_beams > 1)
    return absl::InvalidArgumentError(absl::StrCat(
        "sampling.num_beams ", params.num_beams,
        request->sampling().has_num_beams() ? "" : " (by the model's generation_config.json)",
        ": beam search cannot stream, use Generate or set it to 1"));
  MELLOW_ASSIGN_OR_RETURN(auto adapter, Pin(*request, adapters_->ForUsers()));
  MELLOW_ASSIGN_OR_RETURN(auto places, engine_->Reserve(Lane::kUser, 1));

  auto feed = std::make_shared<SequenceFeed>();
  using Next = TokenStream::Next;
  stream->Begin([this, feed, adapter, sent = size_t{0},
                 sent_text = std::string()](v1::GenerateStreamResponse* part) mutable -> Next {
    const auto [state, now] = feed->Look(sent);
    if (state == SequenceFeed::State::kNothingNew) return {Next::kNothing, {}};
    if (!now.ok()) return {Next::kEnd, now.status()};
    part->mutable_ids()->Add(now->ids.begin() + sent, now->ids.end());
    part->mutable_logprobs()->Add(now->logprobs.begin() + sent, now->logprobs.end());
    sent = now->ids.size();
    const absl::StatusOr<std::string> text =
        tokenizer_->Decode(now->ids, /*skip_special_tokens=*/true);
    if (!text.ok()) return {Next::kEnd, text.status()};
    part->set_text(TakeNew(*text, &sent_text));
    if (state == SequenceFeed::State::kMore) return {Next::kMessage, {}};
    part->set_finish_reason(ToProto(now->finish));
    *part->mutable_adapter() = ToProto(*adapter);
    return {Next::kLast, {}};
  });
  workers_.Add(Workers::Urgency::kRequest, [=, this] {
    auto ids = SourceIds(request->prompt());
    Stream(stream, feed, Annotate(ids.status(), "prompt"),
           {ids.ok() ? *std::move(ids) : std::vector<int32_t>(),
            params,
            {request->prompt().prompt_index(), request->prompt().sample_index()},
            adapter,
            Lane::kUser,
            CallOf(*stream),
            nullptr,
            nullptr,
            MasksPadding(request->prompt())},
           places.get());
  });
  return absl::OkStatus();
}

template <typename Response>
void PolicyServiceImpl::Stream(const std::shared_ptr<rpc::PulledStream<Response>>& stream,
                               const std::shared_ptr<SequenceFeed>& feed, absl::Status status,
                               GenerateJob job, PolicyEngine::Places* places) {
  const auto end = [stream, feed](absl::StatusOr<nn::GeneratedSequence> sequence) {
    feed->End(std::move(sequence));
    stream->Poke();
  };
  if (status.ok()) {
    // A beam search may still drop what it has so far.
    if (job.params.num_beams == 1) {
      job.on_token = [stream, feed](const nn::GeneratedSequence& so_far) {
        feed->Update(so_far);
        stream->Poke();
      };
    }
    job.done = end;
    std::vector<GenerateJob> jobs;
    jobs.push_back(std::move(job));
    status = engine_->Submit(std::move(jobs), places);
  }
  if (!status.ok()) end(status);
}

absl::StatusOr<PolicyServiceImpl::SummaryPlan> PolicyServiceImpl::PlanSummary(
    const v1::SummarizeRequest& request) const {
  if (request.dialogue().empty()) return absl::InvalidArgumentError("dialogue: is empty");
  MELLOW_RETURN_IF_ERROR(
      wire::CheckTextBytes(request.dialogue(), options_.TextBytes(), "dialogue"));
  v1::SamplingParams sampling;
  if (request.has_max_new_tokens()) sampling.set_max_new_tokens(request.max_new_tokens());
  SummaryPlan plan;
  MELLOW_ASSIGN_OR_RETURN(plan.params, FromProto(sampling, sampling_));
  MELLOW_ASSIGN_OR_RETURN(plan.adapter, Pin(request, adapters_->ForUsers()));
  return plan;
}

absl::StatusOr<std::vector<int32_t>> PolicyServiceImpl::FitDialogue(
    const std::string& dialogue, const nn::SamplingParams& params,
    v1::SummarizeResponse* response) const {
  const int64_t room =
      options_.max_batch_tokens - int64_t{params.max_new_tokens} * params.num_beams;
  auto prompt = text::FitPrompt(
      *tokenizer_,
      [this](absl::string_view text) {
        return absl::StrReplaceAll(options_.prompt_template, {{"{dialogue}", text}});
      },
      dialogue, static_cast<int>(std::clamp<int64_t>(room, 1, options_.SourceTokens())));
  if (!prompt.ok()) return Annotate(prompt.status(), "dialogue");
  response->set_prompt_tokens(prompt->tokens());
  response->set_uncut_prompt_tokens(prompt->uncut_tokens);
  response->set_truncated(prompt->truncated());
  return std::move(prompt->ids);
}

absl::Status PolicyServiceImpl::FillSummary(const nn::GeneratedSequence& sequence,
                                            const ServedAdapter& adapter,
                                            v1::SummarizeResponse* response) const {
  MELLOW_ASSIGN_OR_RETURN(*response->mutable_summary(),
                          tokenizer_->Decode(sequence.ids, /*skip_special_tokens=*/true));
  response->set_summary_tokens(static_cast<int32_t>(sequence.ids.size()));
  *response->mutable_adapter() = ToProto(adapter);
  return absl::OkStatus();
}

absl::Status PolicyServiceImpl::StartSummarize(rpc::UnaryCall* call,
                                               const v1::SummarizeRequest* request,
                                               v1::SummarizeResponse* response) {
  MELLOW_ASSIGN_OR_RETURN(const SummaryPlan plan, PlanSummary(*request));
  MELLOW_ASSIGN_OR_RETURN(auto places, engine_->Reserve(Lane::kUser, 1));
  workers_.Add(Workers::Urgency::kRequest, [=, this] {
    if (call->gone()()) return call->Answer(absl::CancelledError("the caller cancelled"));
    auto ids = FitDialogue(request->dialogue(), plan.params, response);
    if (!ids.ok()) return call->Answer(ids.status());
    std::vector<GenerateJob> jobs(1);
    jobs[0] = {*std::move(ids),
               plan.params,
               {},
               plan.adapter,
               Lane::kUser,
               CallOf(*call),
               nullptr,
               [=, this](absl::StatusOr<nn::GeneratedSequence> sequence) {
                 workers_.Add(Workers::Urgency::kAnswer, [=, this, sequence = std::move(sequence)] {
                   call->Answer(sequence.ok() ? FillSummary(*sequence, *plan.adapter, response)
                                              : sequence.status());
                 });
               }};
    if (absl::Status status = engine_->Submit(std::move(jobs), places.get()); !status.ok())
      call->Answer(status);
  });
  return absl::OkStatus();
}

absl::Status PolicyServiceImpl::StartSummarizeStream(const std::shared_ptr<SummaryStream>& stream,
                                                     const v1::SummarizeRequest* request) {
  MELLOW_ASSIGN_OR_RETURN(const SummaryPlan plan, PlanSummary(*request));
  MELLOW_ASSIGN_OR_RETURN(auto places, engine_->Reserve(Lane::kUser, 1));
  auto feed = std::make_shared<SequenceFeed>();
  // Written before the job is submitted, so before there is anything to pull.
  auto result = std::make_shared<v1::SummarizeResponse>();
  using Next = SummaryStream::Next;
  stream->Begin([this, plan, feed, result, seen = size_t{0},
                 sent = std::string()](v1::SummarizeStreamResponse* part) mutable -> Next {
    const auto [state, now] = feed->Look(seen);
    if (state == SequenceFeed::State::kNothingNew) return {Next::kNothing, {}};
    if (!now.ok()) return {Next::kEnd, now.status()};
    seen = now->ids.size();
    const absl::Status filled = FillSummary(*now, *plan.adapter, result.get());
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
  workers_.Add(Workers::Urgency::kRequest, [=, this] {
    auto ids = FitDialogue(request->dialogue(), plan.params, result.get());
    Stream(stream, feed, ids.status(),
           {ids.ok() ? *std::move(ids) : std::vector<int32_t>(),
            plan.params,
            {},
            plan.adapter,
            Lane::kUser,
            CallOf(*stream)},
           places.get());
  });
  return absl::OkStatus();
}

absl::Status PolicyServiceImpl::StartScoreTokens(rpc::UnaryCall* call,
                                                 const v1::ScoreTokensRequest* request,
                                                 v1::ScoreTokensResponse* response) {
  if (request->pairs().empty()) return absl::InvalidArgumentError("pairs: is empty");
  MELLOW_ASSIGN_OR_RETURN(auto adapter, Pin(*request, adapters_->Newest()));
  ScoreJob job;
  job.adapter = adapter;
  job.call = CallOf(*call);
  int64_t tokens = 0;
  for (int i = 0; i < request->pairs_size(); ++i) {
    const auto& pair = request->pairs(i);
    ScoreJob::Pair next{{pair.source_ids().begin(), pair.source_ids().end()},
                        {pair.target_ids().begin(), pair.target_ids().end()}};
    if (next.source_ids.empty())
      return absl::InvalidArgumentError(absl::StrCat("pairs[", i, "].source_ids: is empty"));
    // A pair is scored in one piece between two decode steps, so its size is bounded by itself.
    const size_t longest =
        static_cast<size_t>(std::max(options_.SourceTokens(), options_.max_new_tokens));
    if (std::max(next.source_ids.size(), next.target_ids.size()) > longest)
      return absl::InvalidArgumentError(absl::StrCat("pairs[", i, "]: has ", next.source_ids.size(),
                                                     " source_ids and ", next.target_ids.size(),
                                                     " target_ids, at most ", longest, " each"));
    MELLOW_RETURN_IF_ERROR(CheckIds(next.source_ids, absl::StrCat("pairs[", i, "].source_ids")));
    MELLOW_RETURN_IF_ERROR(CheckIds(next.target_ids, absl::StrCat("pairs[", i, "].target_ids")));
    tokens += static_cast<int64_t>(next.source_ids.size() + next.target_ids.size());
    job.pairs.push_back(std::move(next));
  }
  if (tokens > options_.max_batch_tokens)
    return absl::InvalidArgumentError(absl::StrCat("pairs: ", tokens, " tokens together, at most ",
                                                   options_.max_batch_tokens, " a request"));
  using LogProbs = absl::StatusOr<std::vector<std::vector<float>>>;
  const auto answer = [call, response, adapter](const LogProbs& logprobs) {
    if (!logprobs.ok()) return call->Answer(logprobs.status());
    for (const std::vector<float>& row : *logprobs)
      response->add_logprobs()->mutable_values()->Add(row.begin(), row.end());
    *response->mutable_adapter() = ToProto(*adapter);
    call->Answer(absl::OkStatus());
  };
  job.done = [this, answer](LogProbs logprobs) {
    workers_.Add(Workers::Urgency::kAnswer,
                 [answer, logprobs = std::move(logprobs)] { answer(logprobs); });
  };
  return engine_->Submit(std::move(job));
}

int64_t PolicyServiceImpl::WorkOf(int64_t max_new_tokens, int64_t beams) const {
  // Fields may be wrong in every way: what is, is refused later.
  const int64_t each = options_.default_max_new_tokens;
  const int64_t tokens =
      std::clamp<int64_t>(max_new_tokens == 0 ? sampling_.defaults.max_new_tokens : max_new_tokens,
                          each, std::max<int64_t>(each, options_.max_new_tokens));
  return std::clamp<int64_t>(beams == 0 ? sampling_.defaults.num_beams : beams, 1,
                             options_.max_rows) *
         ((tokens + each - 1) / each);
}
int64_t PolicyServiceImpl::WorkOf(const v1::GenerateRequest& request) const {
  const v1::SamplingParams& sampling = request.sampling();
  int64_t work = 0;
  for (const v1::Prompt& prompt : request.prompts())
    work +=
        WorkOf(prompt.has_max_new_tokens() ? prompt.max_new_tokens() : sampling.max_new_tokens(),
               sampling.num_beams());
  return work;
}
int64_t PolicyServiceImpl::WorkOf(const v1::GenerateStreamRequest& request) const {
  return WorkOf(request.sampling().max_new_tokens(), 1);
}
int64_t PolicyServiceImpl::WorkOf(const v1::SummarizeRequest& request) const {
  return WorkOf(request.max_new_tokens(), 0);
}
int64_t PolicyServiceImpl::WorkOf(const v1::ScoreTokensRequest& request) const {
  return request.pairs_size();
}

absl::Status PolicyServiceImpl::PublishAdapterImpl(
    grpc::ServerContext* context, grpc::ServerReader<common::v1::AdapterChunk>& reader,
    v1::PublishAdapterResponse& response) {
  MELLOW_ASSIGN_OR_RETURN(
      wire::ReceivedAdapter received,
      wire::ReceiveAdapter(
          [&reader](common::v1::AdapterChunk* chunk) { return reader.Read(chunk); },
          wire::kMaxAdapterBytes));
  if (!received.fetch_from.empty()) {
    MELLOW_ASSIGN_OR_RETURN(wire::ReceivedAdapter fetched,
                            FetchFrom(received.fetch_from, received.ref, context));
    received.files = std::move(fetched.files);
  }
  if (received.as == Publication::kChampion && received.ref.version() == 0) {
    ClearChampion();
  } else {
    MELLOW_RETURN_IF_ERROR(Adopt(received));
    KeepForOthers(std::move(received));
  }
  *response.mutable_newest() = ToProto(*adapters_->Newest());
  return absl::OkStatus();
}

void PolicyServiceImpl::ClearChampion() {
  adapters_->ClearChampion();
  metrics_->SetInfo("mellow_policy_champion_info", kChampionHelp,
                    {{"version", "none"}, {"hash", ""}});
  obs::Log(obs::Severity::kInfo, "the base model is the champion");
}

absl::Status PolicyServiceImpl::Adopt(const wire::ReceivedAdapter& received) {
  const Publication as = received.as;
  const int64_t version = received.ref.version();
  const std::string& hash = received.ref.sha256();
  MELLOW_ASSIGN_OR_RETURN(std::shared_ptr<const ServedAdapter> served,
                          adapters_->CheckPublish(version, hash, as));
  if (served == nullptr) {
    MELLOW_ASSIGN_OR_RETURN(const nn::LoraWeights lora, adapters::ParsePeft(received.files));
    if (const std::string got = adapters::ContentHash(lora); got != hash)
      return absl::DataLossError(absl::StrCat("adapter version ", version, ": its tensors hash to ",
                                              got, ", announced was ", hash));
    auto made = std::make_shared<ServedAdapter>();
    made->version = version;
    made->sha256 = hash;
    MELLOW_ASSIGN_OR_RETURN(made->weights, model_->Prepare(lora));
    served = std::move(made);
  }
  MELLOW_RETURN_IF_ERROR(adapters_->Publish(std::move(served), as));
  if (as == Publication::kChampion) {
    metrics_->SetInfo("mellow_policy_champion_info", kChampionHelp,
                      {{"version", absl::StrCat(version)}, {"hash", hash}});
  } else if (as == Publication::kNewest) {
    // Not what was published: an older version that is here may be published again.
    const std::shared_ptr<const ServedAdapter> newest = adapters_->Newest();
    metrics_->SetInfo("mellow_policy_adapter_info", "The newest adapter of this node.",
                      {{"version", absl::StrCat(newest->version)}, {"hash", newest->sha256}});
    adapter_version_.Set(static_cast<double>(newest->version));
  }
  obs::Log(obs::Severity::kInfo, "adapter published",
           {{"version", version},
            {"sha256", hash},
            {"champion", as == Publication::kChampion},
            {"candidate", as == Publication::kCandidate},
            {"reference", as == Publication::kReference}});
  return absl::OkStatus();
}

grpc::Status PolicyServiceImpl::FetchAdapter(grpc::ServerContext* context,
                                             const v1::FetchAdapterRequest* request,
                                             grpc::ServerWriter<common::v1::AdapterChunk>* writer) {
  return limiter_->Answer(context, *request, [&] { return FetchAdapterImpl(*request, writer); });
}

absl::Status PolicyServiceImpl::FetchAdapterImpl(
    const v1::FetchAdapterRequest& request, grpc::ServerWriter<common::v1::AdapterChunk>* writer) {
  const common::v1::AdapterRef& wanted = request.adapter();
  std::shared_ptr<const wire::ReceivedAdapter> given;
  {
    MutexLock lock(&given_mutex_);
    for (const auto& each : given_) {
      if (each->ref.version() == wanted.version() && each->ref.sha256() == wanted.sha256())
        given = each;
    }
  }
  if (given == nullptr)
    return absl::NotFoundError(absl::StrCat("the files of adapter version ", wanted.version(), " (",
                                            wanted.sha256(), ") are not on this node"));
  return wire::SendAdapter(given->ref, given->files, [&](const common::v1::AdapterChunk& chunk) {
    return writer->Write(chunk);
  });
}

void PolicyServiceImpl::KeepForOthers(wire::ReceivedAdapter received) {
  const auto given = std::make_shared<const wire::ReceivedAdapter>(std::move(received));
  MutexLock lock(&given_mutex_);
  // Adopt has looked at the bytes when the version came first, and then never again.
  for (const auto& each : given_) {
    if (each->ref.version() == given->ref.version()) return;
  }
  given_.push_front(given);
  if (given_.size() > kGivenAdapters) given_.pop_back();
}

grpc::Status PolicyServiceImpl::ListAdapters(grpc::ServerContext* context,
                                             const v1::ListAdaptersRequest* request,
                                             v1::ListAdaptersResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    std::vector<std::shared_ptr<const ServedAdapter>> list = adapters_->List();
    if (const auto champion = adapters_->Champion(); champion != nullptr) {
      *response->mutable_champion() = ToProto(*champion);
      const auto at = std::lower_bound(
          list.begin(), list.end(), champion->version,
          [](const auto& adapter, int64_t version) { return adapter->version < version; });
      if (at == list.end() || (*at)->version != champion->version) list.insert(at, champion);
    }
    for (const auto& adapter : list) *response->add_adapters() = ToProto(*adapter);
    return absl::OkStatus();
  });
}

common::v1::NodeCapacity PolicyServiceImpl::Capacity() const {
  common::v1::NodeCapacity capacity;
  capacity.set_device(device_);
  capacity.set_threads(options_.threads);
  capacity.set_max_batch_tokens(options_.max_batch_tokens);
  capacity.set_tokens_per_second(engine_->tokens_per_second());
  capacity.set_model(options_.model);
  capacity.set_model_sha256(model_hash_->Get().value_or(""));
  capacity.set_precision(options_.dtype);
  capacity.set_max_request_items(options_.queue_capacity);
  capacity.set_max_new_tokens(options_.max_new_tokens);
  return capacity;
}

grpc::Status PolicyServiceImpl::GetInfo(grpc::ServerContext* context,
                                        const v1::GetInfoRequest* request,
                                        v1::GetInfoResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    const nn::T5Config& config = model_->config();
    *response->mutable_capacity() = Capacity();
    response->set_vocab_size(config.vocab_size);
    response->set_d_model(config.d_model);
    response->set_num_layers(config.num_layers);
    response->set_num_decoder_layers(config.num_decoder_layers);
    response->set_parameters(model_->parameter_count());
    response->set_max_new_tokens(options_.max_new_tokens);
    response->set_max_source_tokens(options_.SourceTokens());
    *response->mutable_newest() = ToProto(*adapters_->Newest());
    response->set_model_sha256(model_hash_->Get().value_or(""));
    *response->mutable_default_sampling() = ToProto(sampling_.defaults);
    response->mutable_eos_token_ids()->Add(config.eos_token_ids.begin(),
                                           config.eos_token_ids.end());
    response->set_decoder_start_token_id(config.decoder_start_token_id);
    for (const auto* warnings : {&config.warnings, &tokenizer_->warnings()})
      response->mutable_warnings()->Add(warnings->begin(), warnings->end());
    return absl::OkStatus();
  });
}

}  // namespace mellow::policy
