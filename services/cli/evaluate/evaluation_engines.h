#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_ENGINES_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_ENGINES_H_

// What an evaluation computes with: arms that write summaries, the base model that gives their
// reference log-probs, and judges. Each is either a cluster's or a model folder in this process;
// on CPUs both give the same numbers, bit for bit. All are thread-safe; errors as the services' and
// the engines'.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/eval/evaluation.h"
#include "common/nn/load.h"
#include "common/text/tokenizer.h"
#include "services/cli/cluster/cluster_calls.h"

namespace mellow::cli {

struct SummaryRequest {
  absl::Span<const int32_t> source_ids;
  uint64_t prompt_index = 0;
  uint32_t sample_index = 0;
};

struct WrittenSummary {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<float> logprobs;  // of the raw distribution
  bool truncated = false;       // ended at max_new_tokens
};

class ArmEngine {
 public:
  virtual ~ArmEngine() = default;
  // One per request, in order.
  [[nodiscard]] virtual absl::StatusOr<std::vector<WrittenSummary>> Write(
      absl::Span<const SummaryRequest> requests) = 0;
};

struct PairToScore {
  absl::Span<const int32_t> source_ids;
  absl::Span<const int32_t> target_ids;
};

class BaseModel {
 public:
  virtual ~BaseModel() = default;
  // Log-probs of the targets, one list per pair.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::vector<float>>> Score(
      absl::Span<const PairToScore> pairs) = 0;
};

class JudgeEngine {
 public:
  virtual ~JudgeEngine() = default;
  // Everything but name and independence.
  [[nodiscard]] virtual const eval::Judge& judge() const = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<eval::JudgeScore>> Score(
      const std::vector<std::string>& texts) = 0;
};

// `calls` must outlive what is made; so must models and tokenizers below. DataLoss when a server
// answers with other weights than the arm's.
[[nodiscard]] std::unique_ptr<ArmEngine> MakeClusterArm(ClusterCalls* calls, const eval::Arm& arm,
                                                        const eval::SamplingConfig& sampling);
[[nodiscard]] std::unique_ptr<BaseModel> MakeClusterBaseModel(ClusterCalls* calls);

// A null adapter: the base model. InvalidArgument: sampling that the engine does not take.
[[nodiscard]] absl::StatusOr<std::unique_ptr<ArmEngine>> MakeLocalArm(
    nn::Seq2SeqModel* model, const text::Tokenizer* tokenizer,
    std::shared_ptr<const nn::PreparedAdapter> adapter, const eval::SamplingConfig& sampling);
[[nodiscard]] std::unique_ptr<BaseModel> MakeLocalBaseModel(nn::Seq2SeqModel* model);

// Empty labels: those of RewardJudge's defaults. InvalidArgument: a label that the classifier does
// not have.
[[nodiscard]] absl::StatusOr<std::unique_ptr<JudgeEngine>> MakeClusterJudge(
    ClusterCalls* calls, const std::string& label, const std::string& toxic_label);
// Loads the folder.
[[nodiscard]] absl::StatusOr<std::unique_ptr<JudgeEngine>> MakeLocalJudge(
    const std::string& folder, const nn::LoadOptions& load, const std::string& label,
    const std::string& toxic_label);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_ENGINES_H_
