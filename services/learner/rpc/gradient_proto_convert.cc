#include "services/learner/rpc/gradient_proto_convert.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "services/wire/chunks.h"

namespace mellow::learner {
namespace {

static_assert(std::endian::native == std::endian::little, "gradients travel as they are in memory");

template <typename Repeated, typename T>
void Assign(const std::vector<T>& values, Repeated* out) {
  out->Assign(values.begin(), values.end());
}
template <typename Repeated>
auto ToVector(const Repeated& values) {
  return std::vector<std::decay_t<decltype(*values.begin())>>(values.begin(), values.end());
}

// As wire::WriteChunks.
template <typename Message>
absl::Status Send(absl::string_view bytes, Message* message,
                  const std::function<bool(const Message&)>& write) {
  if (wire::WriteChunks(bytes, message, write)) return absl::OkStatus();
  return absl::UnavailableError("the peer closed the stream");
}

// As wire::ReadChunks, of bytes that fit into memory.
template <typename Message>
absl::Status Receive(int64_t announced, const std::function<bool(Message*)>& read,
                     std::string* bytes) {
  if (announced < 0 || announced > kMaxWeightBytes)
    return absl::InvalidArgumentError(
        absl::StrCat("header: ", announced, " bytes: between 0 and ", kMaxWeightBytes));
  return wire::ReadChunks("stream", announced, read, bytes);
}

std::string HashOf(const std::vector<float>& gradient) {
  return Sha256Hex(
      {reinterpret_cast<const char*>(gradient.data()), gradient.size() * sizeof(float)});
}

// One number per token, of what was asked for.
template <typename Row>
void Set(const rl::Rows& rows, size_t i, Row* out) {
  if (!rows.empty()) Assign(rows[i], out);
}

template <typename Request>
absl::StatusOr<nn::WeightType> PrecisionOf(const Request& request) {
  if (request.precision().empty()) return nn::WeightType::kFloat32;
  return nn::ParseTrainingPrecision(request.precision());
}

}  // namespace

absl::StatusOr<rl::GradientTask> FromProto(const v1::ComputeGradientRequest& request) {
  rl::GradientTask task;
  MELLOW_ASSIGN_OR_RETURN(task.precision, PrecisionOf(request));
  task.loss = {.cliprange = request.cliprange(),
               .cliprange_value = request.cliprange_value(),
               .vf_coef = request.vf_coef()};
  task.scale = request.scale();
  const bool weighted =
      std::any_of(request.sequences().begin(), request.sequences().end(),
                  [](const auto& row) { return !row.importance_weights().empty(); });
  for (const v1::TrainedSequence& row : request.sequences()) {
    task.sequences.query_ids.push_back(ToVector(row.query_ids()));
    task.sequences.response_ids.push_back(ToVector(row.response_ids()));
    task.mask.emplace_back(row.mask().begin(), row.mask().end());
    task.old_logprobs.push_back(ToVector(row.old_logprobs()));
    task.old_values.push_back(ToVector(row.old_values()));
    task.advantages.push_back(ToVector(row.advantages()));
    task.returns.push_back(ToVector(row.returns()));
    if (weighted) task.importance_weights.push_back(ToVector(row.importance_weights()));
  }
  return task;
}

void ToProto(const rl::GradientTask& task, v1::ComputeGradientRequest* request) {
  request->set_cliprange(task.loss.cliprange);
  request->set_cliprange_value(task.loss.cliprange_value);
  request->set_vf_coef(task.loss.vf_coef);
  request->set_scale(task.scale);
  request->set_precision(std::string(nn::WeightTypeName(task.precision)));
  for (size_t i = 0; i < task.sequences.size(); ++i) {
    v1::TrainedSequence* const row = request->add_sequences();
    Assign(task.sequences.query_ids[i], row->mutable_query_ids());
    Assign(task.sequences.response_ids[i], row->mutable_response_ids());
    row->mutable_mask()->assign(task.mask[i].begin(), task.mask[i].end());
    Assign(task.old_logprobs[i], row->mutable_old_logprobs());
    Assign(task.old_values[i], row->mutable_old_values());
    Assign(task.advantages[i], row->mutable_advantages());
    Assign(task.returns[i], row->mutable_returns());
    Set(task.importance_weights, i, row->mutable_importance_weights());
  }
}

absl::StatusOr<rl::EvaluationTask> FromProto(const v1::EvaluateRequest& request) {
  rl::EvaluationTask task{.values = request.values(),
                          .logprobs = request.logprobs(),
                          .reference_logprobs = request.reference_logprobs(),
                          .full_kl = request.full_kl()};
  MELLOW_ASSIGN_OR_RETURN(task.precision, PrecisionOf(request));
  for (const common::v1::TokenPair& pair : request.pairs()) {
    task.sequences.query_ids.push_back(ToVector(pair.source_ids()));
    task.sequences.response_ids.push_back(ToVector(pair.target_ids()));
  }
  return task;
}

void ToProto(const rl::EvaluationTask& task, v1::EvaluateRequest* request) {
  request->set_values(task.values);
  request->set_logprobs(task.logprobs);
  request->set_reference_logprobs(task.reference_logprobs);
  request->set_full_kl(task.full_kl);
  request->set_precision(std::string(nn::WeightTypeName(task.precision)));
  for (size_t i = 0; i < task.sequences.size(); ++i) {
    common::v1::TokenPair* const pair = request->add_pairs();
    Assign(task.sequences.query_ids[i], pair->mutable_source_ids());
    Assign(task.sequences.response_ids[i], pair->mutable_target_ids());
  }
}

rl::Evaluation FromProto(const rl::EvaluationTask& task, const v1::EvaluateResponse& response) {
  rl::Evaluation out;
  for (const auto& row : response.pairs()) {
    if (task.values) out.values.push_back(ToVector(row.values()));
    if (task.logprobs) out.logprobs.push_back(ToVector(row.logprobs()));
    if (task.reference_logprobs)
      out.reference_logprobs.push_back(ToVector(row.reference_logprobs()));
    if (task.full_kl) out.full_kl.push_back(ToVector(row.full_kl()));
  }
  return out;
}

void ToProto(const rl::Evaluation& evaluation, size_t rows, v1::EvaluateResponse* response) {
  for (size_t i = 0; i < rows; ++i) {
    auto* const row = response->add_pairs();
    Set(evaluation.values, i, row->mutable_values());
    Set(evaluation.logprobs, i, row->mutable_logprobs());
    Set(evaluation.reference_logprobs, i, row->mutable_reference_logprobs());
    Set(evaluation.full_kl, i, row->mutable_full_kl());
  }
}

absl::Status SendWeights(const PackedWeights& weights,
                         const std::function<bool(const v1::PutWeightsRequest&)>& write) {
  v1::PutWeightsRequest message;
  v1::PutWeightsRequest::Header* const header = message.mutable_header();
  header->set_sha256(weights.sha256);
  header->set_adapter_config_json(weights.adapter.config_json);
  header->set_adapter_bytes(static_cast<int64_t>(weights.adapter.safetensors.size()));
  Assign(weights.value_head.weight, header->mutable_value_head_weight());
  header->set_value_head_bias(weights.value_head.bias);
  return Send(weights.adapter.safetensors, &message, write);
}

absl::StatusOr<PackedWeights> ReceiveWeights(
    const std::function<bool(v1::PutWeightsRequest*)>& read) {
  v1::PutWeightsRequest message;
  if (!read(&message) || !message.has_header())
    return absl::InvalidArgumentError("stream: the first message must be the header");
  const v1::PutWeightsRequest::Header header = message.header();
  PackedWeights weights;
  weights.sha256 = header.sha256();
  weights.adapter.config_json = header.adapter_config_json();
  weights.value_head = {ToVector(header.value_head_weight()), header.value_head_bias()};
  MELLOW_RETURN_IF_ERROR(Receive(header.adapter_bytes(), read, &weights.adapter.safetensors));
  return weights;
}

absl::Status SendGradient(const rl::GradientAnswer& answer,
                          const std::function<bool(const v1::ComputeGradientResponse&)>& write) {
  v1::ComputeGradientResponse message;
  v1::ComputeGradientResponse::Header* const header = message.mutable_header();
  for (size_t i = 0; i < answer.logprobs.size(); ++i) {
    auto* const row = header->add_sequences();
    Assign(answer.logprobs[i], row->mutable_logprobs());
    Assign(answer.values[i], row->mutable_values());
    Assign(answer.entropies[i], row->mutable_entropies());
  }
  const absl::string_view bytes(reinterpret_cast<const char*>(answer.gradient.data()),
                                answer.gradient.size() * sizeof(float));
  header->set_gradient_bytes(static_cast<int64_t>(bytes.size()));
  header->set_gradient_sha256(HashOf(answer.gradient));
  return Send(bytes, &message, write);
}

absl::StatusOr<rl::GradientAnswer> ReceiveGradient(
    const std::function<bool(v1::ComputeGradientResponse*)>& read) {
  v1::ComputeGradientResponse message;
  if (!read(&message) || !message.has_header())
    return absl::InvalidArgumentError("stream: the first message must be the header");
  const v1::ComputeGradientResponse::Header header = message.header();
  rl::GradientAnswer answer;
  for (const auto& row : header.sequences()) {
    answer.logprobs.push_back(ToVector(row.logprobs()));
    answer.values.push_back(ToVector(row.values()));
    answer.entropies.push_back(ToVector(row.entropies()));
  }
  if (header.gradient_bytes() % static_cast<int64_t>(sizeof(float)) != 0)
    return absl::InvalidArgumentError(
        absl::StrCat("header.gradient_bytes ", header.gradient_bytes(), ": not whole numbers"));
  std::string bytes;
  MELLOW_RETURN_IF_ERROR(Receive(header.gradient_bytes(), read, &bytes));
  answer.gradient.resize(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(answer.gradient.data(), bytes.data(), bytes.size());
  if (HashOf(answer.gradient) != header.gradient_sha256())
    return absl::DataLossError("stream: the gradient has another hash than announced");
  return answer;
}

}  // namespace mellow::learner
