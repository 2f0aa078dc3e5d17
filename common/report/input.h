#ifndef MELLOW_COMMON_REPORT_INPUT_H_
#define MELLOW_COMMON_REPORT_INPUT_H_

// Everything that a report is made of. Plain data, collected by whoever makes the report; what is
// absent is left out of it, and the report says so.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/eval/evaluation.h"
#include "common/report/attribution.h"
#include "common/review/review_summary.h"

namespace mellow::report {

// A version of the cluster; version 0 is the base model, whose hash is empty.
struct AdapterId {
  int64_t version = 0;
  std::string sha256;
};

struct PpoStep {
  int32_t step = 0;
  AdapterId adapter;
  double objective_kl = 0;
  double returns_mean = 0;
  double advantages_mean = 0;
  double score_mean = 0;
  double toxicity_mean = 0;
  double response_tokens_mean = 0;
  double repetition_mean = 0;       // share of repeated 4-grams
  std::optional<double> judge_gap;  // absent: the run has no judge
  double tokens_per_second = 0;
  double seconds = 0;
  std::map<std::string, double> stats;          // the learner's, by TRL's names
  std::map<std::string, double> phase_seconds;  // generate, reward, train, publish, canary
};

// What the nodes of a role had loaded for a run.
struct PinnedModel {
  std::string role;  // "policy", "reward", "learner"
  std::string sha256;
  std::string precision;  // "float32"
};

// A step at which a run's guard took it back.
struct GuardTrip {
  int32_t step = 0;
  int32_t good_step = 0;  // 0: the start
  AdapterId good;         // its weights under their new version
  std::string check;      // the field of the run file
  double value = 0;
  double bound = 0;
  std::string reason;
};

struct PpoRun {
  std::string run_id;
  std::string name;
  std::string state;  // "done", "running", "stopped", "failed"
  std::string error;
  std::optional<int64_t> begun_unix_seconds, ended_unix_seconds;
  std::string spec;         // JSON
  std::string spec_sha256;  // of `spec`
  int32_t planned_steps = 0;
  std::string start_adapter;       // folder in the run file; empty: a fresh adapter
  std::optional<AdapterId> start;  // the weights before step 1; absent: not known
  AdapterId adapter;               // after the last step
  std::string adapter_path;
  std::vector<PinnedModel> models;
  std::vector<GuardTrip> guard_trips;
  std::vector<PpoStep> steps;
};

struct SftStep {
  int32_t step = 0;
  double epoch = 0;
  std::optional<double> loss;  // absent in step 0
  double learning_rate = 0;
  double gradient_norm = 0;
  std::optional<double> dev_loss;  // absent where it was not measured
};

struct SftRun {
  std::string run_id;
  std::string name;
  std::string state;  // as PpoRun
  std::string error;
  std::optional<int64_t> begun_unix_seconds, ended_unix_seconds;
  std::string spec;
  std::string spec_sha256;
  int32_t planned_steps = 0;
  int64_t trainable_parameters = 0;
  int64_t total_parameters = 0;
  std::optional<int32_t> best_step;
  std::optional<double> best_dev_loss;
  std::string start_adapter;
  std::string adapter_path;
  std::string adapter_sha256;
  std::vector<SftStep> steps;
};

// One of the checks that an adapter had to pass.
struct Gate {
  std::string name;
  bool passed = false;
  std::string detail;  // the numbers, in words
};

// A move of the name `champion`.
struct Promotion {
  int64_t unix_seconds = 0;
  std::string kind;  // "promote" or "rollback"
  AdapterId adapter;
  AdapterId previous;
  bool forced = false;  // although a gate failed
  std::vector<Gate> gates;
  std::string evaluation_sha256;  // EvaluationConfig::sha256 that the gates looked at
  std::string reason;             // in the words of who did it; may be empty
};

// What a running cluster knows.
struct ClusterHistory {
  std::vector<PpoRun> runs;           // newest first
  std::vector<SftRun> sft;            // newest first
  std::vector<Promotion> promotions;  // newest first
};

// The first pairs, word by word; as Evaluation::rows and PromptRow::arms, of each arm's first
// sample.
struct PairSpans {
  std::string judge;  // what scored them, in words
  std::vector<std::vector<TextEvidence>> rows;
};

struct ReportInput {
  eval::Evaluation evaluation;
  std::string evaluation_file_sha256;  // of the file's bytes
  std::optional<ClusterHistory> cluster;
  std::optional<review::ReviewSummary> review;
  std::optional<PairSpans> spans;
};

// How many pairs a report shows.
inline constexpr size_t kShownPairs = 20;

// The words of a row's summary by an arm; null: not known.
[[nodiscard]] inline const TextEvidence* EvidenceOf(const ReportInput& input, size_t row,
                                                    size_t arm) {
  if (!input.spans.has_value() || row >= input.spans->rows.size()) return nullptr;
  const std::vector<TextEvidence>& arms = input.spans->rows[row];
  return arm < arms.size() ? &arms[arm] : nullptr;
}

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_INPUT_H_
