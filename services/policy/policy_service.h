#ifndef MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_
#define MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/nn/seq2seq_model.h"
#include "common/nn/weights/model_hash.h"
#include "common/obs/metrics.h"
#include "common/rpc/callback_call.h"
#include "common/sync/workers.h"
#include "common/text/tokenizer.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "services/policy/adapter_exchange.h"
#include "services/policy/adapter_table.h"
#include "services/policy/call_parts.h"
#include "services/policy/policy_engine.h"
#include "services/policy/policy_options.h"

namespace mellow::policy {

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
  // What prompts that may have so many tokens and beams (0: the defaults) count as.
  [[nodiscard]] int64_t WorkOf(int64_t max_new_tokens, int64_t beams) const;
  absl::Status FetchAdapterImpl(const v1::FetchAdapterRequest& request,
                                grpc::ServerWriter<common::v1::AdapterChunk>* writer);
  absl::Status PublishAdapterImpl(grpc::ServerContext* context,
                                  grpc::ServerReader<common::v1::AdapterChunk>& reader,
                                  v1::PublishAdapterResponse& response);

  const std::string device_;
  const nn::ModelHash* const model_hash_;
  rpc::CallLimiter* const limiter_;
  AdapterExchange exchange_;
  const CallParts parts_;
  // Last: what it still does needs the rest.
  Workers workers_;
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_
