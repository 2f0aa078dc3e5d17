#include "services/learner/rpc/learner_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/status.h"
#include "services/learner/rpc/proto_convert.h"
#include "services/wire/adapter_stream.h"

namespace mellow::learner {
namespace {

std::function<bool()> GoneOf(const grpc::ServerContext* context) {
  return [context] { return context != nullptr && context->IsCancelled(); };
}

}  // namespace

LearnerServiceImpl::LearnerServiceImpl(PpoSession::Options session_options,
                                       const nn::ModelHash* model_hash, ComputeTurns* turns,
                                       obs::Metrics* metrics, rpc::CallLimiter* limiter,
                                       DataParallel::Connect connect)
    : session_options_(std::move(session_options)),
      model_hash_(model_hash),
      turns_(turns),
      limiter_(limiter),
      data_parallel_(std::move(connect), !session_options_.trainer.device.cuda, metrics),
      owner_(session_options_.checkpoint_dir) {
  steps_total_ =
      metrics->AddCounter("mellow_learner_steps_total", "PPO steps trained and recorded.");
  checkpoint_failures_ =
      metrics->AddCounter("mellow_learner_checkpoint_failures_total",
                          "Steps that were not recorded because the disk refused.");
  train_seconds_ =
      metrics->AddHistogram("mellow_learner_train_seconds",
                            "Seconds of a PPO step with its checkpoint.", obs::LatencyBounds());
  last_step_gauge_ =
      metrics->AddGauge("mellow_learner_last_step", "Last recorded step of the open run.");
}

grpc::Status LearnerServiceImpl::CheckRun(grpc::ServerContext* context,
                                          const v1::CheckRunRequest* request,
                                          v1::CheckRunResponse*) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    if (draining_.load()) return absl::UnavailableError("this learner is shutting down");
    v1::OpenRunRequest open;
    *open.mutable_config() = request->config();
    open.set_start_adapter(request->start_adapter());
    MELLOW_ASSIGN_OR_RETURN(const RunSettings settings, FromProto(open));
    return PpoSession::Check(session_options_.model, settings);
  });
}

grpc::Status LearnerServiceImpl::OpenRun(grpc::ServerContext* context,
                                         const v1::OpenRunRequest* request,
                                         v1::OpenRunResponse* response) {
  return limiter_->Answer(context, *request,
                          [&] { return OpenRunImpl(GoneOf(context), *request, *response); });
}
grpc::Status LearnerServiceImpl::Train(grpc::ServerContext* context,
                                       const v1::TrainRequest* request,
                                       v1::TrainResponse* response) {
  return limiter_->Answer(context, *request,
                          [&] { return TrainImpl(GoneOf(context), *request, *response); });
}
grpc::Status LearnerServiceImpl::GetAdapter(grpc::ServerContext* context,
                                            const v1::GetAdapterRequest* request,
                                            grpc::ServerWriter<common::v1::AdapterChunk>* writer) {
  return limiter_->Answer(context, *request,
                          [&] { return GetAdapterImpl(GoneOf(context), *request, *writer); });
}
grpc::Status LearnerServiceImpl::ScoreTokens(grpc::ServerContext* context,
                                             const v1::ScoreTokensRequest* request,
                                             v1::ScoreTokensResponse* response) {
  return limiter_->Answer(context, *request,
                          [&] { return ScoreTokensImpl(GoneOf(context), *request, *response); });
}

void LearnerServiceImpl::DropSpoiledSession() {
  if (session_ == nullptr || !session_->spoiled()) return;
  obs::Log(obs::Severity::kWarning, "a step failed half-way: the run is opened from its checkpoint",
           {{"run", session_->settings().run_id}, {"last_step", session_->last_step()}});
  session_.reset();
}

absl::StatusOr<PpoSession*> LearnerServiceImpl::OpenSession(const std::string& run_id,
                                                            int64_t epoch) {
  MELLOW_RETURN_IF_ERROR(owner_.Check(epoch));
  // Here, and not where the step failed: an exception on the way out passes by no other place.
  DropSpoiledSession();
  if (session_ == nullptr)
    return absl::FailedPreconditionError(
        absl::StrCat("run_id ", run_id, ": no run is open here, call OpenRun first"));
  if (session_->settings().run_id != run_id)
    return absl::FailedPreconditionError(
        absl::StrCat("run_id ", run_id, ": the open run is ", session_->settings().run_id));
  return session_.get();
}

absl::Status LearnerServiceImpl::OpenRunImpl(const Gone& gone, const v1::OpenRunRequest& request,
                                             v1::OpenRunResponse& response) {
  if (draining_.load()) return absl::UnavailableError("this learner is shutting down");
  MELLOW_ASSIGN_OR_RETURN(const RunSettings settings, FromProto(request));
  // Whoever gave up while it waited may be dead: it must not become the owner.
  MELLOW_ASSIGN_OR_RETURN(const auto call, calls_.Await(gone));
  MutexLock lock(&compute_mutex_);
  MELLOW_ASSIGN_OR_RETURN(const int64_t epoch, owner_.Claim(request.epoch(), request.owner()));
  response.set_epoch(epoch);
  DropSpoiledSession();
  if (session_ == nullptr || session_->settings().run_id != settings.run_id) {
    session_.reset();  // its last checkpoint has everything; two sets of weights may not fit
    MELLOW_ASSIGN_OR_RETURN(session_, PpoSession::Open(session_options_, settings));
    obs::Log(obs::Severity::kInfo, "run opened",
             {{"run", settings.run_id}, {"last_step", session_->last_step()}});
  } else {
    MELLOW_RETURN_IF_ERROR(CheckSameSettings(session_->settings(), settings));
  }
  const PpoSession::Adapter adapter = session_->CurrentAdapter();
  response.set_last_step(static_cast<int32_t>(session_->last_step()));
  response.mutable_adapter()->set_version(adapter.version);
  response.mutable_adapter()->set_sha256(adapter.sha256);
  response.set_trainable_parameters(session_->trainer().trainable_parameters());
  response.set_total_parameters(session_->trainer().total_parameters());
  response.set_adapter_path(session_->AdapterPath());
  response.set_value_head(session_->ValueHeadBytes());
  last_step_gauge_.Set(static_cast<double>(session_->last_step()));
  MutexLock info_lock(&info_mutex_);
  run_id_ = settings.run_id;
  last_step_ = session_->last_step();
  return absl::OkStatus();
}

absl::Status LearnerServiceImpl::TrainImpl(const Gone& gone, const v1::TrainRequest& request,
                                           v1::TrainResponse& response) {
  if (draining_.load()) return absl::UnavailableError("this learner is shutting down");
  MELLOW_ASSIGN_OR_RETURN(const auto call, calls_.Await(gone));
  MutexLock lock(&compute_mutex_);
  MELLOW_ASSIGN_OR_RETURN(PpoSession* const session,
                          OpenSession(request.run_id(), request.epoch()));
  if (const PpoStepRecord* record = session->Recorded(request.step()); record != nullptr) {
    ToProto(*record, &response);
    response.set_replayed(true);
    response.set_adapter_path(session->AdapterPath());
    if (request.step() == session->last_step()) response.set_value_head(session->ValueHeadBytes());
    return absl::OkStatus();
  }
  const StepWeights current = session->CurrentWeights();
  std::vector<rl::Rollout> rollouts;
  double tokens = 0;
  for (const v1::Rollout& rollout : request.rollouts()) {
    rollouts.push_back(FromProto(rollout, request.sampler_precision(), current));
    tokens += rollout.query_ids_size() + rollout.response_ids_size();
  }
  const bool helped = data_parallel_.Begin(request.run_id(), WorkersFromProto(request));
  absl::StatusOr<PpoStepRecord> record = [&]() -> absl::StatusOr<PpoStepRecord> {
    MELLOW_ASSIGN_OR_RETURN(const auto turn, turns_->Await(gone));
    ComputeProgress::Work work(&progress_);
    return session->Train(request.step(), rollouts, request.new_version(),
                          helped ? &data_parallel_ : nullptr, [&work] { work.Advance(); });
  }();
  if (!record.ok()) {
    if (absl::IsResourceExhausted(record.status())) checkpoint_failures_.Increment();
    obs::Log(obs::Severity::kError, "step not recorded",
             {{"run", request.run_id()},
              {"step", request.step()},
              {"error", record.status().ToString()}});
    return record.status();
  }
  ToProto(*record, &response);
  response.set_adapter_path(session->AdapterPath());
  response.set_value_head(session->ValueHeadBytes());
  steps_total_.Increment();
  train_seconds_.Observe(record->seconds);
  last_step_gauge_.Set(static_cast<double>(record->step));
  tokens_per_second_.store(tokens / std::max(record->seconds, 1e-9));
  obs::Log(obs::Severity::kInfo, "step trained",
           {{"run", request.run_id()},
            {"step", record->step},
            {"version", record->version},
            {"sha256", record->sha256},
            {"seconds", record->seconds}});
  MutexLock info_lock(&info_mutex_);
  last_step_ = record->step;
  return absl::OkStatus();
}

absl::Status LearnerServiceImpl::GetAdapterImpl(
    const Gone& gone, const v1::GetAdapterRequest& request,
    grpc::ServerWriter<common::v1::AdapterChunk>& writer) {
  PpoSession::Adapter adapter;
  {
    MELLOW_ASSIGN_OR_RETURN(const auto call, calls_.Await(gone));
    MutexLock lock(&compute_mutex_);
    MELLOW_ASSIGN_OR_RETURN(PpoSession* const session,
                            OpenSession(request.run_id(), request.epoch()));
    if (request.has_version()) {
      MELLOW_ASSIGN_OR_RETURN(adapter, session->AdapterOf(request.version()));
    } else {
      adapter = session->CurrentAdapter();
    }
  }
  common::v1::AdapterRef ref;
  ref.set_version(adapter.version);
  ref.set_sha256(adapter.sha256);
  return wire::SendAdapter(
      ref, adapters::SerializePeft(adapter.weights),
      [&writer](const common::v1::AdapterChunk& chunk) { return writer.Write(chunk); });
}

absl::Status LearnerServiceImpl::ScoreTokensImpl(const Gone& gone,
                                                 const v1::ScoreTokensRequest& request,
                                                 v1::ScoreTokensResponse& response) {
  if (request.pairs().empty()) return absl::InvalidArgumentError("pairs: is empty");
  std::vector<rl::ScoreRow> rows;
  for (const auto& pair : request.pairs())
    rows.push_back({{pair.source_ids().begin(), pair.source_ids().end()},
                    {pair.target_ids().begin(), pair.target_ids().end()}});
  MELLOW_ASSIGN_OR_RETURN(const auto call, calls_.Await(gone));
  MutexLock lock(&compute_mutex_);
  MELLOW_ASSIGN_OR_RETURN(PpoSession* const session,
                          OpenSession(request.run_id(), request.epoch()));
  MELLOW_ASSIGN_OR_RETURN(const auto turn, turns_->Await(gone));
  const ComputeProgress::Work work(&progress_);
  std::vector<std::vector<float>> values;
  MELLOW_ASSIGN_OR_RETURN(
      const auto logprobs,
      session->ScoreTokens(rows, request.reference(), request.reference() ? nullptr : &values));
  for (const std::vector<float>& row : logprobs)
    response.add_logprobs()->mutable_values()->Add(row.begin(), row.end());
  for (const std::vector<float>& row : values)
    response.add_values()->mutable_values()->Add(row.begin(), row.end());
  const PpoSession::Adapter adapter = session->CurrentAdapter();
  response.mutable_adapter()->set_version(adapter.version);
  response.mutable_adapter()->set_sha256(adapter.sha256);
  return absl::OkStatus();
}

common::v1::NodeCapacity LearnerServiceImpl::Capacity() const {
  common::v1::NodeCapacity capacity;
  capacity.set_device(session_options_.trainer.device.ToString());
  capacity.set_threads(session_options_.trainer.threads);
  capacity.set_tokens_per_second(tokens_per_second_.load());
  capacity.set_model(session_options_.model);
  capacity.set_model_sha256(model_hash_->Get().value_or(""));
  capacity.set_precision("float32");
  return capacity;
}

grpc::Status LearnerServiceImpl::GetInfo(grpc::ServerContext* context,
                                         const v1::GetInfoRequest* request,
                                         v1::GetInfoResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    *response->mutable_capacity() = Capacity();
    MutexLock lock(&info_mutex_);
    response->set_run_id(run_id_);
    response->set_last_step(static_cast<int32_t>(last_step_));
    return absl::OkStatus();
  });
}

}  // namespace mellow::learner
