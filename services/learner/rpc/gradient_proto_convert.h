#ifndef MELLOW_SERVICES_LEARNER_RPC_GRADIENT_PROTO_CONVERT_H_
#define MELLOW_SERVICES_LEARNER_RPC_GRADIENT_PROTO_CONVERT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rl/group_work.h"
#include "mellow/learner/v1/gradients.pb.h"
#include "services/learner/workers/packed_weights.h"

namespace mellow::learner {

// Larger weights and gradients do not occur; the limit keeps a bad header from reserving memory.
inline constexpr int64_t kMaxWeightBytes = int64_t{1} << 30;

// InvalidArgument: `precision` is none that trainers have.
[[nodiscard]] absl::StatusOr<rl::GradientTask> FromProto(const v1::ComputeGradientRequest& request);
[[nodiscard]] absl::StatusOr<rl::EvaluationTask> FromProto(const v1::EvaluateRequest& request);
void ToProto(const rl::GradientTask& task, v1::ComputeGradientRequest* request);
void ToProto(const rl::EvaluationTask& task, v1::EvaluateRequest* request);
[[nodiscard]] rl::Evaluation FromProto(const rl::EvaluationTask& task,
                                       const v1::EvaluateResponse& response);
void ToProto(const rl::Evaluation& evaluation, size_t rows, v1::EvaluateResponse* response);

// Header and data of a stream. `write` false: Unavailable, the peer is gone.
[[nodiscard]] absl::Status SendWeights(
    const PackedWeights& weights, const std::function<bool(const v1::PutWeightsRequest&)>& write);
[[nodiscard]] absl::Status SendGradient(
    const rl::GradientAnswer& answer,
    const std::function<bool(const v1::ComputeGradientResponse&)>& write);

// Reads until `read` says false. InvalidArgument: no header, a second one, or a size that is
// negative or too large. DataLoss: fewer or more bytes than announced, or a wrong hash of a
// gradient; that of weights Unpack compares.
[[nodiscard]] absl::StatusOr<PackedWeights> ReceiveWeights(
    const std::function<bool(v1::PutWeightsRequest*)>& read);
[[nodiscard]] absl::StatusOr<rl::GradientAnswer> ReceiveGradient(
    const std::function<bool(v1::ComputeGradientResponse*)>& read);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_GRADIENT_PROTO_CONVERT_H_
