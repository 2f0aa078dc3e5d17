#ifndef MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_
#define MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/seq2seq_model.h"
#include "common/nn/weights/model_hash.h"
#include "common/obs/metrics.h"
#include "common/rpc/callback_call.h"
#include "common/sync/mutex.h"
#include "common/sync/workers.h"
#include "common/text/tokenizer.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "services/policy/adapter_table.h"
#include "services/policy/policy_engine.h"
#include "services/policy/policy_options.h"
#include "services/policy/proto_convert.h"
#include "services/wire/adapter_stream.h"

namespace mellow::policy {

class SequenceFeed;

// The rpcs of PolicyService: validate, call the engine, translate. What waits for the engine holds
// no thread: the engine's queues bound it. The rest (publication, what the node tells of itself)
// has the server's threads for itself. Thread-safe. What it is given must outlive it, and the
// server must be shut down before it goes.
class PolicyServiceImpl final : public v1::PolicyService::WithCallbackMethod_Generate<
                                    v1::PolicyService::WithCallbackMethod_GenerateStream<
                                        v1::PolicyService::WithCallbackMethod_Summarize<
                                            v1::PolicyService::WithCallbackMethod_SummarizeStream<
                                                v1::PolicyService::WithCallbackMethod_ScoreTokens<
                                                    v1::PolicyService::Service>>>>> {
 public:
  PolicyServiceImpl(const PolicyOptions& options, std::string device, nn::Seq2SeqModel* model,
                    const nn::ModelHash* model_hash, const text::Tokenizer* tokenizer,
                    AdapterTable* adapters, PolicyEngine* engine, obs::Metrics* metrics,
                    rpc::CallLimiter* limiter = rpc::CallLimiter::None());

  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* context,
                                     const v1::GenerateRequest* request,
                                     v1::GenerateResponse* response) override;
  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) override;
  grpc::ServerUnaryReactor* Summarize(grpc::CallbackServerContext* context,
                                      const v1::SummarizeRequest* request,
                                      v1::SummarizeResponse* response) override;
  grpc::ServerWriteReactor<v1::SummarizeStreamResponse>* SummarizeStream(
      grpc::CallbackServerContext* context, const v1::SummarizeRequest* request) override;
  grpc::ServerUnaryReactor* ScoreTokens(grpc::CallbackServerContext* context,
                                        const v1::ScoreTokensRequest* request,
                                        v1::ScoreTokensResponse* response) override;
  grpc::Status PublishAdapter(grpc::ServerContext* context,
                              grpc::ServerReader<common::v1::AdapterChunk>* reader,
                              v1::PublishAdapterResponse* response) override;
  grpc::Status FetchAdapter(grpc::ServerContext* context, const v1::FetchAdapterRequest* request,
                            grpc::ServerWriter<common::v1::AdapterChunk>* writer) override;
  grpc::Status ListAdapters(grpc::ServerContext* context, const v1::ListAdaptersRequest* request,
                            v1::ListAdaptersResponse* response) override;
  grpc::Status GetInfo(grpc::ServerContext* context, const v1::GetInfoRequest* request,
                       v1::GetInfoResponse* response) override;

  // What a request counts as against its client's limits: one for each prompt and beam and every
  // --default-max-new-tokens that it may generate, or for each pair to score.
  [[nodiscard]] int64_t WorkOf(const v1::GenerateRequest& request) const;
  [[nodiscard]] int64_t WorkOf(const v1::GenerateStreamRequest& request) const;
  [[nodiscard]] int64_t WorkOf(const v1::SummarizeRequest& request) const;
  [[nodiscard]] int64_t WorkOf(const v1::ScoreTokensRequest& request) const;
  // Device, threads, budget and the speed of now.
  [[nodiscard]] common::v1::NodeCapacity Capacity() const;

 private:
  using TokenStream = rpc::PulledStream<v1::GenerateStreamResponse>;
  using SummaryStream = rpc::PulledStream<v1::SummarizeStreamResponse>;
  // How a summary is made.
  struct SummaryPlan {
    nn::SamplingParams params;
    std::shared_ptr<const ServedAdapter> adapter;
  };

  // Each has `call` (or the stream) answered later, or returns why not.
  absl::Status StartGenerate(rpc::UnaryCall* call, const v1::GenerateRequest* request,
                             v1::GenerateResponse* response);
  absl::Status StartStream(const std::shared_ptr<TokenStream>& stream,
                           const v1::GenerateStreamRequest* request);
  absl::Status StartSummarize(rpc::UnaryCall* call, const v1::SummarizeRequest* request,
                              v1::SummarizeResponse* response);
  absl::Status StartSummarizeStream(const std::shared_ptr<SummaryStream>& stream,
                                    const v1::SummarizeRequest* request);
  absl::Status StartScoreTokens(rpc::UnaryCall* call, const v1::ScoreTokensRequest* request,
                                v1::ScoreTokensResponse* response);

  // What prompts that may have so many tokens and beams (0: the defaults) count as.
  [[nodiscard]] int64_t WorkOf(int64_t max_new_tokens, int64_t beams) const;
  absl::Status FetchAdapterImpl(const v1::FetchAdapterRequest& request,
                                grpc::ServerWriter<common::v1::AdapterChunk>* writer);
  absl::Status PublishAdapterImpl(grpc::ServerContext* context,
                                  grpc::ServerReader<common::v1::AdapterChunk>& reader,
                                  v1::PublishAdapterResponse& response);

  absl::StatusOr<std::vector<GenerateJob>> MakeJobs(
      const v1::GenerateRequest& request, const nn::SamplingParams& params, Lane lane,
      const std::shared_ptr<const ServedAdapter>& adapter, const CallContext& call) const;
  // Keeps what came, and makes it what it was published as.
  absl::Status Adopt(const wire::ReceivedAdapter& received);
  // Has the files for other nodes from now on, in place of the oldest.
  void KeepForOthers(wire::ReceivedAdapter received);
  void ClearChampion();
  // Has the engine feed the stream, or ends it with the error of `status` or of the engine.
  template <typename Response>
  void Stream(const std::shared_ptr<rpc::PulledStream<Response>>& stream,
              const std::shared_ptr<SequenceFeed>& feed, absl::Status status, GenerateJob job,
              PolicyEngine::Places* places);
  absl::StatusOr<SummaryPlan> PlanSummary(const v1::SummarizeRequest& request) const;
  // The ids of the prompt with the dialogue, whose end is left out where it is too long; the
  // response gets how many.
  absl::StatusOr<std::vector<int32_t>> FitDialogue(const std::string& dialogue,
                                                   const nn::SamplingParams& params,
                                                   v1::SummarizeResponse* response) const;
  absl::Status FillSummary(const nn::GeneratedSequence& sequence, const ServedAdapter& adapter,
                           v1::SummarizeResponse* response) const;
  // The version that the request names, else `unnamed`.
  template <typename Request>
  absl::StatusOr<std::shared_ptr<const ServedAdapter>> Pin(
      const Request& request, std::shared_ptr<const ServedAdapter> unnamed) const {
    if (!request.has_adapter_version()) return unnamed;
    return adapters_->Get(request.adapter_version());
  }
  absl::StatusOr<std::vector<int32_t>> SourceIds(const v1::Prompt& prompt) const;
  absl::Status CheckIds(absl::Span<const int32_t> ids, absl::string_view field) const;

  const PolicyOptions options_;
  const std::string device_;
  nn::Seq2SeqModel* const model_;
  const nn::ModelHash* const model_hash_;
  const text::Tokenizer* const tokenizer_;
  AdapterTable* const adapters_;
  PolicyEngine* const engine_;
  obs::Metrics* const metrics_;
  rpc::CallLimiter* const limiter_;
  const SamplingContext sampling_;
  obs::Gauge adapter_version_;
  Mutex given_mutex_;
  // The adapters that came last, newest first: bytes that nobody but another node needs.
  std::deque<std::shared_ptr<const wire::ReceivedAdapter>> given_ ABSL_GUARDED_BY(given_mutex_);
  // Texts to tokens and back, outside gRPC's threads and the engine's. Last: what it still does
  // needs the rest.
  Workers workers_;
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_
