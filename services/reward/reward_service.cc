#include "services/reward/reward_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/labels.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"

namespace mellow::reward {
namespace {

obs::Histogram AddToxicity(obs::Metrics* metrics, const char* lane) {
  return metrics->AddHistogram("mellow_reward_toxicity",
                               "Probability of the toxic label, one observation a text.",
                               {0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1}, {{"lane", lane}});
}

}  // namespace

RewardServiceImpl::RewardServiceImpl(const RewardOptions& options, std::string device, int toxic,
                                     nn::SequenceClassifier* model, const nn::ModelHash* model_hash,
                                     const text::Tokenizer* tokenizer, RewardEngine* engine,
                                     obs::Metrics* metrics)
    : options_(options),
      device_(std::move(device)),
      toxic_(toxic),
      model_(model),
      model_hash_(model_hash),
      tokenizer_(tokenizer),
      engine_(engine),
      user_toxicity_(AddToxicity(metrics, "user")),
      rollout_toxicity_(AddToxicity(metrics, "rollout")) {}

grpc::Status RewardServiceImpl::Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                                      v1::ScoreResponse* response) {
  return rpc::ToGrpcStatus(ScoreImpl(*context, *request, *response));
}

absl::Status RewardServiceImpl::ScoreImpl(grpc::ServerContext& context,
                                          const v1::ScoreRequest& request,
                                          v1::ScoreResponse& response) {
  if (request.texts().empty()) return absl::InvalidArgumentError("texts: is empty");
  // A field of an enum holds whatever number came.
  if (!v1::Lane_IsValid(request.lane()))
    return absl::InvalidArgumentError(
        absl::StrCat("lane: ", static_cast<int>(request.lane()), ": unknown"));
  const int window = model_->config().max_tokens();
  std::vector<ScoreJob> jobs;
  std::vector<bool> truncated;
  for (int i = 0; i < request.texts_size(); ++i) {
    // One token more than fits tells whether something was cut.
    auto ids = tokenizer_->Encode(request.texts(i), window + 1);
    if (!ids.ok()) return Annotate(ids.status(), absl::StrCat("texts[", i, "]"));
    truncated.push_back(static_cast<int>(ids->size()) > window);
    if (truncated.back()) {
      MELLOW_ASSIGN_OR_RETURN(*ids, tokenizer_->Encode(request.texts(i), window));
    }
    jobs.push_back(
        {*std::move(ids), rpc::DeadlineOf(context), [&context] { return context.IsCancelled(); }});
  }
  MELLOW_ASSIGN_OR_RETURN(auto futures, engine_->Submit(std::move(jobs)));
  const obs::Histogram& toxicity =
      request.lane() == v1::LANE_ROLLOUT ? rollout_toxicity_ : user_toxicity_;
  absl::Status first_error;
  for (size_t i = 0; i < futures.size();
       ++i) {  // all of them: the jobs look at `context`, which must outlive them
    const auto logits = futures[i].get();
    first_error.Update(logits.status());
    if (!logits.ok()) continue;
    const std::vector<float> probabilities = nn::Softmax(*logits);
    v1::TextScore* score = response.add_scores();
    score->mutable_logits()->Add(logits->begin(), logits->end());
    score->mutable_probabilities()->Add(probabilities.begin(), probabilities.end());
    score->set_label(model_->config().labels[std::max_element(logits->begin(), logits->end()) -
                                             logits->begin()]);
    score->set_toxicity(probabilities[toxic_]);
    toxicity.Observe(probabilities[toxic_]);
    score->set_truncated(truncated[i]);
  }
  for (const std::string& label : model_->config().labels) response.add_labels(label);
  return first_error;
}

common::v1::NodeCapacity RewardServiceImpl::Capacity() const {
  common::v1::NodeCapacity capacity;
  capacity.set_device(device_);
  capacity.set_threads(options_.threads);
  capacity.set_max_batch_tokens(options_.max_batch_tokens);
  capacity.set_tokens_per_second(engine_->tokens_per_second());
  capacity.set_model(options_.model);
  return capacity;
}

grpc::Status RewardServiceImpl::GetInfo(grpc::ServerContext*, const v1::GetInfoRequest*,
                                        v1::GetInfoResponse* response) {
  *response->mutable_capacity() = Capacity();
  for (const std::string& label : model_->config().labels) response->add_labels(label);
  response->set_toxic_label(model_->config().labels[toxic_]);
  response->set_max_tokens(model_->config().max_tokens());
  response->set_parameters(model_->parameter_count());
  response->set_model_sha256(model_hash_->Get().value_or(""));
  return grpc::Status::OK;
}

}  // namespace mellow::reward
