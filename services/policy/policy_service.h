#ifndef MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_
#define MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/seq2seq_model.h"
#include "common/nn/weights/model_hash.h"
#include "common/obs/metrics.h"
#include "common/text/tokenizer.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "services/policy/adapter_table.h"
#include "services/policy/policy_engine.h"
#include "services/policy/policy_options.h"
#include "services/wire/adapter_stream.h"

namespace mellow::policy {

// The rpcs of PolicyService: validate, call the engine, translate. Thread-safe. What it is given
// must outlive it.
class PolicyServiceImpl final : public v1::PolicyService::Service {
 public:
  PolicyServiceImpl(const PolicyOptions& options, std::string device, nn::Seq2SeqModel* model,
                    const nn::ModelHash* model_hash, const text::Tokenizer* tokenizer,
                    AdapterTable* adapters, PolicyEngine* engine, obs::Metrics* metrics);

  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        v1::GenerateResponse* response) override;
  grpc::Status GenerateStream(grpc::ServerContext* context,
                              const v1::GenerateStreamRequest* request,
                              grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override;
  grpc::Status Summarize(grpc::ServerContext* context, const v1::SummarizeRequest* request,
                         v1::SummarizeResponse* response) override;
  grpc::Status ScoreTokens(grpc::ServerContext* context, const v1::ScoreTokensRequest* request,
                           v1::ScoreTokensResponse* response) override;
  grpc::Status PublishAdapter(grpc::ServerContext* context,
                              grpc::ServerReader<common::v1::AdapterChunk>* reader,
                              v1::PublishAdapterResponse* response) override;
  grpc::Status ListAdapters(grpc::ServerContext* context, const v1::ListAdaptersRequest* request,
                            v1::ListAdaptersResponse* response) override;
  grpc::Status GetInfo(grpc::ServerContext* context, const v1::GetInfoRequest* request,
                       v1::GetInfoResponse* response) override;

  // Device, threads, budget and the speed of now.
  [[nodiscard]] common::v1::NodeCapacity Capacity() const;

 private:
  absl::Status GenerateImpl(grpc::ServerContext& context, const v1::GenerateRequest& request,
                            v1::GenerateResponse& response);
  absl::Status GenerateStreamImpl(grpc::ServerContext& context,
                                  const v1::GenerateStreamRequest& request,
                                  grpc::ServerWriter<v1::GenerateStreamResponse>& writer);
  absl::Status SummarizeImpl(grpc::ServerContext& context, const v1::SummarizeRequest& request,
                             v1::SummarizeResponse& response);
  absl::Status ScoreTokensImpl(grpc::ServerContext& context, const v1::ScoreTokensRequest& request,
                               v1::ScoreTokensResponse& response);
  absl::Status PublishAdapterImpl(grpc::ServerReader<common::v1::AdapterChunk>& reader,
                                  v1::PublishAdapterResponse& response);

  // Keeps what came, and makes it what it was published as.
  absl::Status Adopt(const wire::ReceivedAdapter& received);
  void ClearChampion();
  // The pinned version; the newest when `version` is null.
  absl::StatusOr<std::shared_ptr<const ServedAdapter>> Pin(const int64_t* version) const;
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
  obs::Gauge adapter_version_;
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_POLICY_SERVICE_H_
