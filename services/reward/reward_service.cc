#include "services/reward/reward_service.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/labels.h"
#include "common/text/classifier_input.h"
#include "services/wire/text_limit.h"

namespace mellow::reward {
namespace {

constexpr int kWorkers = 2;

obs::Histogram AddToxicity(obs::Metrics* metrics, const char* lane) {
  return metrics->AddHistogram("mellow_reward_toxicity",
                               "Probability of the toxic label, one observation per text.",
                               {0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1}, {{"lane", lane}});
}

}  // namespace

RewardServiceImpl::RewardServiceImpl(const RewardOptions& options, std::string device,
                                     std::optional<int> toxic, nn::SequenceClassifier* model,
                                     const nn::ModelHash* model_hash,
                                     const text::Tokenizer* tokenizer, RewardEngine* engine,
                                     obs::Metrics* metrics, rpc::CallLimiter* limiter)
    : options_(options),
      device_(std::move(device)),
      toxic_(toxic),
      model_(model),
      model_hash_(model_hash),
      tokenizer_(tokenizer),
      engine_(engine),
      limiter_(limiter),
      user_toxicity_(AddToxicity(metrics, "user")),
      rollout_toxicity_(AddToxicity(metrics, "rollout")),
      workers_(kWorkers) {}

// A request on its way through the engine.
struct RewardServiceImpl::Batch {
  rpc::UnaryCall* call;
  v1::ScoreResponse* response;
  Lane lane;
  std::shared_ptr<RewardEngine::Places> places;
  std::vector<bool> truncated;
  std::vector<absl::StatusOr<std::vector<float>>> logits;
  std::atomic<size_t> open;  // texts that the engine has not answered
};

grpc::ServerUnaryReactor* RewardServiceImpl::Score(grpc::CallbackServerContext* context,
                                                   const v1::ScoreRequest* request,
                                                   v1::ScoreResponse* response) {
  return rpc::UnaryCall::Make(
      *context, [&] { return limiter_->Enter(context, *request, request->texts_size()); },
      [&](rpc::UnaryCall* call) { return StartScore(call, request, response); });
}

absl::Status RewardServiceImpl::StartScore(rpc::UnaryCall* call, const v1::ScoreRequest* request,
                                           v1::ScoreResponse* response) {
  if (request->texts().empty()) return absl::InvalidArgumentError("texts: is empty");
  if (!request->text_pairs().empty() && request->text_pairs_size() != request->texts_size())
    return absl::InvalidArgumentError(absl::StrCat("text_pairs: ", request->text_pairs_size(),
                                                   " for ", request->texts_size(), " texts"));
  // A field of an enum holds whatever number came.
  if (!v1::Lane_IsValid(request->lane()))
    return absl::InvalidArgumentError(
        absl::StrCat("lane: ", static_cast<int>(request->lane()), ": unknown"));
  const int64_t max_bytes = options_.TextBytes(model_->config().max_tokens());
  for (int i = 0; i < request->texts_size(); ++i) {
    MELLOW_RETURN_IF_ERROR(
        wire::CheckTextBytes(request->texts(i), max_bytes, absl::StrCat("texts[", i, "]")));
  }
  for (int i = 0; i < request->text_pairs_size(); ++i) {
    MELLOW_RETURN_IF_ERROR(wire::CheckTextBytes(request->text_pairs(i), max_bytes,
                                                absl::StrCat("text_pairs[", i, "]")));
  }
  auto batch = std::make_shared<Batch>();
  batch->call = call;
  batch->response = response;
  batch->lane = request->lane() == v1::LANE_ROLLOUT ? Lane::kRollout : Lane::kUser;
  const size_t count = static_cast<size_t>(request->texts_size());
  MELLOW_ASSIGN_OR_RETURN(batch->places, engine_->Reserve(batch->lane, count));
  // A run's texts do not queue behind those of users.
  call->ContinueIn(
      &workers_,
      batch->lane == Lane::kRollout ? Workers::Urgency::kAnswer : Workers::Urgency::kRequest,
      [this, call, request, batch] { return Tokenize(call, *request, batch); });
  return absl::OkStatus();
}

absl::Status RewardServiceImpl::Tokenize(rpc::UnaryCall* call, const v1::ScoreRequest& request,
                                         const std::shared_ptr<Batch>& batch) {
  const int window = model_->config().max_tokens();
  std::vector<ScoreJob> jobs;
  for (int i = 0; i < request.texts_size(); ++i) {
    if (call->gone()()) return absl::CancelledError("the caller cancelled");
    auto input = text::EncodeForClassifier(
        *tokenizer_, request.texts(i), request.text_pairs().empty() ? "" : request.text_pairs(i),
        window);
    if (!input.ok()) return Annotate(input.status(), absl::StrCat("texts[", i, "]"));
    batch->truncated.push_back(input->truncated);
    const size_t index = static_cast<size_t>(i);
    jobs.push_back({std::move(input->ids), call->deadline(), call->gone(),
                    [this, batch, index](absl::StatusOr<std::vector<float>> logits) {
                      batch->logits[index] = std::move(logits);
                      if (batch->open.fetch_sub(1) != 1) return;
                      batch->call->AnswerIn(&workers_, [this, batch] { return FillIn(*batch); });
                    }});
  }
  batch->logits.resize(jobs.size());
  batch->open = jobs.size();
  // Not in the batch anymore when the engine's thread is the last that has it.
  const std::shared_ptr<RewardEngine::Places> places = std::move(batch->places);
  return engine_->Submit(std::move(jobs), places.get());
}

absl::Status RewardServiceImpl::FillIn(const Batch& batch) {
  const obs::Histogram& toxicity =
      batch.lane == Lane::kRollout ? rollout_toxicity_ : user_toxicity_;
  for (size_t i = 0; i < batch.logits.size(); ++i) {
    if (!batch.logits[i].ok()) return batch.logits[i].status();
    const std::vector<float>& logits = *batch.logits[i];
    const std::vector<float> probabilities =
        nn::Probabilities(logits, model_->config().problem_type);
    v1::TextScore* score = batch.response->add_scores();
    score->mutable_logits()->Add(logits.begin(), logits.end());
    score->mutable_probabilities()->Add(probabilities.begin(), probabilities.end());
    score->set_label(
        model_->config().labels[std::max_element(logits.begin(), logits.end()) - logits.begin()]);
    if (toxic_) {
      score->set_toxicity(probabilities[*toxic_]);
      toxicity.Observe(probabilities[*toxic_]);
    }
    score->set_truncated(batch.truncated[i]);
  }
  for (const std::string& label : model_->config().labels) batch.response->add_labels(label);
  return absl::OkStatus();
}

common::v1::NodeCapacity RewardServiceImpl::Capacity() const {
  common::v1::NodeCapacity capacity;
  capacity.set_device(device_);
  capacity.set_threads(options_.threads);
  capacity.set_max_batch_tokens(options_.max_batch_tokens);
  capacity.set_tokens_per_second(engine_->tokens_per_second());
  capacity.set_model(options_.model);
  capacity.set_model_sha256(model_hash_->Get().value_or(""));
  capacity.set_precision(options_.dtype);
  capacity.set_max_request_items(options_.queue_capacity);
  if (toxic_) capacity.set_toxic_label(model_->config().labels[*toxic_]);
  return capacity;
}

grpc::Status RewardServiceImpl::GetInfo(grpc::ServerContext* context,
                                        const v1::GetInfoRequest* request,
                                        v1::GetInfoResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    *response->mutable_capacity() = Capacity();
    for (const std::string& label : model_->config().labels) response->add_labels(label);
    if (toxic_) response->set_toxic_label(model_->config().labels[*toxic_]);
    response->set_problem_type(std::string(nn::ProblemTypeName(model_->config().problem_type)));
    response->set_max_tokens(
        std::min(model_->config().max_tokens(), tokenizer_->model_max_length()));
    response->set_parameters(model_->parameter_count());
    response->set_model_sha256(model_hash_->Get().value_or(""));
    for (const auto* warnings : {&model_->config().warnings, &tokenizer_->warnings()})
      response->mutable_warnings()->Add(warnings->begin(), warnings->end());
    return absl::OkStatus();
  });
}

}  // namespace mellow::reward
