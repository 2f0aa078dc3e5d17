#include <utility>

#include "common/base/status.h"
#include "mellow/reward/v1/reward.grpc.pb.h"
#include "services/orchestrator/clients/grpc_client.h"

namespace mellow::orchestrator {
namespace {

namespace reward_pb = reward::v1;

class GrpcRewardClient : public RewardClient {
 public:
  GrpcRewardClient(std::shared_ptr<grpc::Channel> channel, std::string peer)
      : stub_(reward_pb::RewardService::NewStub(std::move(channel))), peer_(std::move(peer)) {}

  absl::StatusOr<ScoreAnswer> Score(const std::vector<std::string>& texts, absl::Duration timeout,
                                    std::stop_token stop) override {
    reward_pb::ScoreRequest request;
    request.set_lane(reward_pb::LANE_ROLLOUT);
    for (const std::string& text : texts) request.add_texts(text);
    MELLOW_ASSIGN_OR_RETURN(reward_pb::ScoreResponse response,
                            Call(stub_.get(), &reward_pb::RewardService::Stub::Score, request,
                                 timeout, std::move(stop), peer_));
    ScoreAnswer answer;
    answer.labels = {response.labels().begin(), response.labels().end()};
    for (const reward_pb::TextScore& score : response.scores()) {
      answer.scores.push_back(
          {.logits = {score.logits().begin(), score.logits().end()},
           .probabilities = {score.probabilities().begin(), score.probabilities().end()},
           .toxicity = score.toxicity()});
    }
    return answer;
  }

  absl::StatusOr<std::vector<std::string>> Labels(absl::Duration timeout,
                                                  std::stop_token stop) override {
    MELLOW_ASSIGN_OR_RETURN(reward_pb::GetInfoResponse response,
                            Call(stub_.get(), &reward_pb::RewardService::Stub::GetInfo,
                                 reward_pb::GetInfoRequest(), timeout, std::move(stop), peer_));
    return std::vector<std::string>(response.labels().begin(), response.labels().end());
  }

 private:
  std::unique_ptr<reward_pb::RewardService::Stub> stub_;
  std::string peer_;
};

}  // namespace

std::shared_ptr<RewardClient> MakeRewardClient(std::shared_ptr<grpc::Channel> channel,
                                               std::string peer) {
  return std::make_shared<GrpcRewardClient>(std::move(channel), std::move(peer));
}

}  // namespace mellow::orchestrator
