#include "services/learner/rpc/gradient_service.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "services/learner/rpc/gradient_proto_convert.h"

namespace mellow::learner {

GradientServiceImpl::GradientServiceImpl(std::unique_ptr<rl::GroupWorker> worker,
                                         obs::Metrics* metrics, rpc::CallLimiter* limiter)
    : limiter_(limiter), worker_(std::move(worker)) {
  groups_ = metrics->AddCounter("mellow_learner_worker_groups_total",
                                "Groups of sequences that this worker computed.");
  tokens_ = metrics->AddCounter("mellow_learner_worker_tokens_total",
                                "Query and response tokens of these groups.");
  seconds_ = metrics->AddHistogram("mellow_learner_worker_group_seconds", "Seconds of a group.",
                                   obs::LatencyBounds());
}

template <typename Body>
auto GradientServiceImpl::Compute(const grpc::ServerContext* context,
                                  const rl::Sequences* sequences, const Body& body)
    -> decltype(body(std::declval<rl::GroupWorker*>())) {
  MELLOW_ASSIGN_OR_RETURN(const auto turn, turns_.Await([context] {
    return context != nullptr && context->IsCancelled();
  }));
  if (draining_.load()) return absl::UnavailableError("this worker is shutting down");
  const SteadyTime start = SteadyTime::Now();
  ComputeProgress::Work work(&progress_);
  auto answer = body(worker_.get());
  work.Advance();
  if (sequences == nullptr || !answer.ok()) return answer;
  const double seconds = absl::ToDoubleSeconds(SteadyTime::Now() - start);
  const auto tokens = static_cast<double>(sequences->tokens());
  groups_.Increment();
  tokens_.Increment(tokens);
  seconds_.Observe(seconds);
  tokens_per_second_.store(tokens / std::max(seconds, 1e-9));
  return answer;
}

grpc::Status GradientServiceImpl::PutWeights(grpc::ServerContext* context,
                                             grpc::ServerReader<v1::PutWeightsRequest>* reader,
                                             v1::PutWeightsResponse*) {
  return limiter_->Answer(context, [&] {
    return rpc::Answer(*context, [&]() -> absl::Status {
      MELLOW_ASSIGN_OR_RETURN(const PackedWeights packed,
                              ReceiveWeights([reader](v1::PutWeightsRequest* message) {
                                return reader->Read(message);
                              }));
      if (packed.sha256.empty()) return absl::InvalidArgumentError("header.sha256: is empty");
      MELLOW_ASSIGN_OR_RETURN(const rl::TrainedWeights weights, Unpack(packed));
      return Compute(context, nullptr, [&](rl::GroupWorker* worker) {
        return worker->PutWeights(packed.sha256, weights);
      });
    });
  });
}

grpc::Status GradientServiceImpl::ComputeGradient(
    grpc::ServerContext* context, const v1::ComputeGradientRequest* request,
    grpc::ServerWriter<v1::ComputeGradientResponse>* writer) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const rl::GradientTask task, FromProto(*request));
    MELLOW_ASSIGN_OR_RETURN(const rl::GradientAnswer answer,
                            Compute(context, &task.sequences, [&](rl::GroupWorker* worker) {
                              return worker->Gradient(request->weights_sha256(), task);
                            }));
    return SendGradient(answer, [writer](const v1::ComputeGradientResponse& message) {
      return writer->Write(message);
    });
  });
}

grpc::Status GradientServiceImpl::Evaluate(grpc::ServerContext* context,
                                           const v1::EvaluateRequest* request,
                                           v1::EvaluateResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const rl::EvaluationTask task, FromProto(*request));
    MELLOW_ASSIGN_OR_RETURN(const rl::Evaluation answer,
                            Compute(context, &task.sequences, [&](rl::GroupWorker* worker) {
                              return worker->Evaluate(request->weights_sha256(),
                                                      request->reference_sha256(), task);
                            }));
    ToProto(answer, task.sequences.size(), response);
    return absl::OkStatus();
  });
}

}  // namespace mellow::learner
