#ifndef MELLOW_SERVICES_REWARD_REWARD_SERVICE_H_
#define MELLOW_SERVICES_REWARD_REWARD_SERVICE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/nn/sequence_classifier.h"
#include "common/nn/weights/model_hash.h"
#include "common/obs/metrics.h"
#include "common/rpc/callback_call.h"
#include "common/sync/workers.h"
#include "common/text/tokenizer.h"
#include "mellow/reward/v1/reward.grpc.pb.h"
#include "services/reward/reward_engine.h"
#include "services/reward/reward_options.h"

namespace mellow::reward {

// The rpcs of RewardService: validate, call the engine, translate. A call that waits for the engine
// holds no thread: the engine's queues bound them. Thread-safe. What it is given must outlive it,
// and the server must be shut down before it goes. A text counts as one against its client's
// limits.
class RewardServiceImpl final
    : public v1::RewardService::WithCallbackMethod_Score<v1::RewardService::Service> {
 public:
  // `toxic`: index of the label whose probability is the toxicity; nothing: no toxicity is told, as
  // of a judge.
  RewardServiceImpl(const RewardOptions& options, std::string device, std::optional<int> toxic,
                    nn::SequenceClassifier* model, const nn::ModelHash* model_hash,
                    const text::Tokenizer* tokenizer, RewardEngine* engine, obs::Metrics* metrics,
                    rpc::CallLimiter* limiter = rpc::CallLimiter::None());

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::Status GetInfo(grpc::ServerContext* context, const v1::GetInfoRequest* request,
                       v1::GetInfoResponse* response) override;

  [[nodiscard]] common::v1::NodeCapacity Capacity() const;

 private:
  struct Batch;

  // Has `call` answered later, or returns why not.
  absl::Status StartScore(rpc::UnaryCall* call, const v1::ScoreRequest* request,
                          v1::ScoreResponse* response);
  absl::Status Tokenize(rpc::UnaryCall* call, const v1::ScoreRequest& request,
                        const std::shared_ptr<Batch>& batch);
  // The response, from what the engine has answered.
  absl::Status FillIn(const Batch& batch);

  const RewardOptions options_;
  const std::string device_;
  const std::optional<int> toxic_;
  nn::SequenceClassifier* const model_;
  const nn::ModelHash* const model_hash_;
  const text::Tokenizer* const tokenizer_;
  RewardEngine* const engine_;
  rpc::CallLimiter* const limiter_;
  obs::Histogram user_toxicity_;
  obs::Histogram rollout_toxicity_;
  // Texts to tokens, outside gRPC's threads and the engine's. Last: what it still does needs the
  // rest.
  Workers workers_;
};

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_REWARD_SERVICE_H_
