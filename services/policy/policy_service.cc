#include "services/policy/policy_service.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "common/rpc/status.h"
#include "services/policy/adapter_client.h"
#include "services/policy/generate_calls.h"
#include "services/policy/proto_convert.h"
#include "services/policy/score_calls.h"
#include "services/policy/summary_calls.h"

namespace mellow::policy {
namespace {

constexpr int kWorkers = 2;

}  // namespace

PolicyServiceImpl::PolicyServiceImpl(const PolicyOptions& options, std::string device,
                                     nn::Seq2SeqModel* model, const nn::ModelHash* model_hash,
                                     const text::Tokenizer* tokenizer, AdapterTable* adapters,
                                     PolicyEngine* engine, obs::Metrics* metrics,
                                     rpc::CallLimiter* limiter)
    : device_(std::move(device)),
      model_hash_(model_hash),
      limiter_(limiter),
      exchange_(model, adapters, metrics),
      parts_{options,
             model,
             tokenizer,
             adapters,
             engine,
             &workers_,
             {model->config().generation.Defaults(options.default_max_new_tokens,
                                                  options.max_new_tokens),
              options.max_new_tokens, model->config().vocab_size}},
      workers_(kWorkers) {}

grpc::ServerUnaryReactor* PolicyServiceImpl::Generate(grpc::CallbackServerContext* context,
                                                      const v1::GenerateRequest* request,
                                                      v1::GenerateResponse* response) {
  return rpc::UnaryCall::Make(
      *context, [&] { return limiter_->Enter(context, *request, WorkOf(*request)); },
      [&](rpc::UnaryCall* call) { return StartGenerate(&parts_, call, request, response); });
}
grpc::ServerWriteReactor<v1::GenerateStreamResponse>* PolicyServiceImpl::GenerateStream(
    grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) {
  return TokenStream::Make(
      *context, &workers_, [&] { return limiter_->Enter(context, *request, WorkOf(*request)); },
      [&](const std::shared_ptr<TokenStream>& stream) {
        return StartGenerateStream(&parts_, stream, request);
      });
}
grpc::ServerUnaryReactor* PolicyServiceImpl::Summarize(grpc::CallbackServerContext* context,
                                                       const v1::SummarizeRequest* request,
                                                       v1::SummarizeResponse* response) {
  return rpc::UnaryCall::Make(
      *context, [&] { return limiter_->Enter(context, *request, WorkOf(*request)); },
      [&](rpc::UnaryCall* call) { return StartSummarize(&parts_, call, request, response); });
}
grpc::ServerWriteReactor<v1::SummarizeStreamResponse>* PolicyServiceImpl::SummarizeStream(
    grpc::CallbackServerContext* context, const v1::SummarizeRequest* request) {
  return SummaryStream::Make(
      *context, &workers_, [&] { return limiter_->Enter(context, *request, WorkOf(*request)); },
      [&](const std::shared_ptr<SummaryStream>& stream) {
        return StartSummarizeStream(&parts_, stream, request);
      });
}
grpc::ServerUnaryReactor* PolicyServiceImpl::ScoreTokens(grpc::CallbackServerContext* context,
                                                         const v1::ScoreTokensRequest* request,
                                                         v1::ScoreTokensResponse* response) {
  return rpc::UnaryCall::Make(
      *context, [&] { return limiter_->Enter(context, *request, WorkOf(*request)); },
      [&](rpc::UnaryCall* call) { return StartScoreTokens(&parts_, call, request, response); });
}
grpc::Status PolicyServiceImpl::PublishAdapter(grpc::ServerContext* context,
                                               grpc::ServerReader<common::v1::AdapterChunk>* reader,
                                               v1::PublishAdapterResponse* response) {
  return limiter_->Answer(context, [&] {
    return rpc::Answer(*context, [&] { return PublishAdapterImpl(context, *reader, *response); });
  });
}

int64_t PolicyServiceImpl::WorkOf(int64_t max_new_tokens, int64_t beams) const {
  // Fields may be wrong in every way: what is, is refused later.
  const int64_t each = parts_.options.default_max_new_tokens;
  const int64_t tokens = std::clamp<int64_t>(
      max_new_tokens == 0 ? parts_.sampling.defaults.max_new_tokens : max_new_tokens, each,
      std::max<int64_t>(each, parts_.options.max_new_tokens));
  return std::clamp<int64_t>(beams == 0 ? parts_.sampling.defaults.num_beams : beams, 1,
                             parts_.options.max_rows) *
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
  MELLOW_RETURN_IF_ERROR(exchange_.Publish(std::move(received)));
  *response.mutable_newest() = ToProto(*parts_.adapters->Newest());
  return absl::OkStatus();
}

grpc::Status PolicyServiceImpl::FetchAdapter(grpc::ServerContext* context,
                                             const v1::FetchAdapterRequest* request,
                                             grpc::ServerWriter<common::v1::AdapterChunk>* writer) {
  return limiter_->Answer(context, *request, [&] { return FetchAdapterImpl(*request, writer); });
}

absl::Status PolicyServiceImpl::FetchAdapterImpl(
    const v1::FetchAdapterRequest& request, grpc::ServerWriter<common::v1::AdapterChunk>* writer) {
  MELLOW_ASSIGN_OR_RETURN(const auto given, exchange_.Files(request.adapter()));
  return wire::SendAdapter(given->ref, given->files, [&](const common::v1::AdapterChunk& chunk) {
    return writer->Write(chunk);
  });
}

grpc::Status PolicyServiceImpl::ListAdapters(grpc::ServerContext* context,
                                             const v1::ListAdaptersRequest* request,
                                             v1::ListAdaptersResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    std::vector<std::shared_ptr<const ServedAdapter>> list = parts_.adapters->List();
    if (const auto champion = parts_.adapters->Champion(); champion != nullptr) {
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
  capacity.set_threads(parts_.options.threads);
  capacity.set_max_batch_tokens(parts_.options.max_batch_tokens);
  capacity.set_tokens_per_second(parts_.engine->tokens_per_second());
  capacity.set_model(parts_.options.model);
  capacity.set_model_sha256(model_hash_->Get().value_or(""));
  capacity.set_precision(parts_.options.dtype);
  capacity.set_max_request_items(parts_.options.queue_capacity);
  capacity.set_max_new_tokens(parts_.options.max_new_tokens);
  return capacity;
}

grpc::Status PolicyServiceImpl::GetInfo(grpc::ServerContext* context,
                                        const v1::GetInfoRequest* request,
                                        v1::GetInfoResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    const nn::T5Config& config = parts_.model->config();
    *response->mutable_capacity() = Capacity();
    response->set_vocab_size(config.vocab_size);
    response->set_d_model(config.d_model);
    response->set_num_layers(config.num_layers);
    response->set_num_decoder_layers(config.num_decoder_layers);
    response->set_parameters(parts_.model->parameter_count());
    response->set_max_new_tokens(parts_.options.max_new_tokens);
    response->set_max_source_tokens(parts_.options.SourceTokens());
    *response->mutable_newest() = ToProto(*parts_.adapters->Newest());
    response->set_model_sha256(model_hash_->Get().value_or(""));
    *response->mutable_default_sampling() = ToProto(parts_.sampling.defaults);
    response->mutable_eos_token_ids()->Add(config.eos_token_ids.begin(),
                                           config.eos_token_ids.end());
    response->set_decoder_start_token_id(config.decoder_start_token_id);
    for (const auto* warnings : {&config.warnings, &parts_.tokenizer->warnings()})
      response->mutable_warnings()->Add(warnings->begin(), warnings->end());
    return absl::OkStatus();
  });
}

}  // namespace mellow::policy
