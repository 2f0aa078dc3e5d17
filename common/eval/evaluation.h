#ifndef MELLOW_COMMON_EVAL_EVALUATION_H_
#define MELLOW_COMMON_EVAL_EVALUATION_H_

// The result of `mellow evaluate` (evaluation.json): arms on the same prompts with the same
// sampling seeds; one alone is measured and compared with nothing. Plain data; it holds no time and
// no machine, so equal inputs give equal bytes. Intervals are 95 % percentile-bootstrap intervals
// over prompts (bootstrap.h); a prompt with several samples counts once, with the mean of its
// samples.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/json/value.h"
#include "common/nn/sampling_params.h"
#include "common/stats/bootstrap.h"

namespace mellow::eval {

// Grows when a field changes its meaning or goes. New fields do not count.
inline constexpr int kEvaluationSchema = 1;

// What text a judge is shown: the summary, query and summary with a blank between them, or what
// the evaluation file's text_template says. Where the query is most of the text, as in the
// notebook, the number mostly measures the dialogue.
inline constexpr char kSummaryScoring[] = "summary";
inline constexpr char kQueryResponseScoring[] = "query_response";
// Stands in such a template for a query that keeps its special tokens, instead of "{query}".
inline constexpr char kSpecialQuery[] = "{query with special tokens}";

// A classifier that scores texts.
struct Judge {
  std::string name;          // "reward": the cluster's; or the name from the eval file
  bool independent = false;  // true: PPO never saw it
  std::string model;         // folder or what the server calls its model
  std::string sha256;        // of its files (nn::HashModelFolder); empty: not known
  std::string label;         // whose logit is JudgeScore::logit
  std::string toxic_label;   // whose probability is JudgeScore::toxicity
};

// One way to score: a judge and what it is shown. The first one is what gates look at, and the
// first of each independent judge.
struct Scoring {
  std::string judge;  // Judge::name
  std::string text;   // kSummaryScoring, kQueryResponseScoring or a template

  bool operator==(const Scoring&) const = default;
};

// What is compared. The first arm is the baseline of every comparison.
struct Arm {
  std::string name;     // unique; as in the eval file
  std::string kind;     // "base", "version", "folder" or "champion": how it was found
  int64_t version = 0;  // of the cluster; 0: the base model
  std::string sha256;   // of the adapter's tensors; empty: the base model
  std::string path;     // PEFT folder; empty: the base model, or not known here
  std::string run_id;   // of the run that made it; empty: not known
  std::string run_name;
};

// What an evaluation has no field for (length penalty, rules) is as the model says.
struct SamplingConfig : nn::SamplingParams {
  SamplingConfig() : nn::SamplingParams{.do_sample = true, .max_new_tokens = 128} {}
  int32_t samples = 1;  // k: texts per prompt and arm
};

// Everything that the numbers depend on.
struct EvaluationConfig {
  std::string name;    // of the evaluation
  std::string sha256;  // over this struct (without itself), judges, scorings and arms
  std::string data_path;
  std::string data_sha256;     // of the file's bytes
  int64_t data_rows = 0;       // in the file
  int64_t prompts = 0;         // rows evaluated
  std::string prompts_sha256;  // of those rows: what the arms and judges are given
  std::string prompt_template;
  std::string reference_column;  // empty: no references
  std::string policy_model;
  std::string policy_model_sha256;  // of its files (nn::HashModelFolder); empty: not known
  SamplingConfig sampling;
  bool stemmer = false;  // of ROUGE
  int32_t resamples = 0;
  int32_t permutations = 0;
  uint64_t statistics_seed = 0;
  double confidence = 0.95;
  double alpha = 0.05;             // of verdicts and sample sizes
  double power = 0.8;              // of sample sizes
  double detectable_change = 0.2;  // relative change that SampleSize::for_change must see
};

// One arm under one scoring, over prompts.
struct ToxicitySummary {
  Scoring scoring;
  stats::MeanInterval toxicity;  // mean P(toxic)
  double toxicity_sd = 0;        // population sd over all texts
  stats::MeanInterval logit;     // mean raw logit of Judge::label
  double logit_sd = 0;
  stats::MeanInterval toxic_share;  // share of texts with P(toxic) > 0.5
  stats::MeanInterval
      expected_max;  // mean over prompts of the largest P(toxic) of the prompt's samples
};

// F-measures against the best reference (rouge.h), mean over prompts.
struct RougeSummary {
  stats::MeanInterval rouge1;
  stats::MeanInterval rouge2;
  stats::MeanInterval rouge_l;
  stats::MeanInterval rouge_lsum;
};

// What reward hacking disturbs.
struct ShapeSummary {
  stats::MeanInterval characters;  // of a summary
  stats::MeanInterval words;
  stats::MeanInterval tokens;      // with </s>
  stats::MeanInterval repetition;  // share of a summary's 3-grams of words that came before in it
  double distinct_1 = 0;           // different 1-grams of words / all of them, over the whole arm
  double distinct_2 = 0;
  stats::MeanInterval kl_per_token;  // sequence KL / tokens; see Sample::kl
  stats::MeanInterval kl_per_sequence;
  int64_t empty = 0;      // texts without a word
  int64_t truncated = 0;  // texts that ended at max_new_tokens
  int64_t texts = 0;
};

struct ArmSummary {
  std::string arm;                        // Arm::name
  std::vector<ToxicitySummary> toxicity;  // as Evaluation::scorings
  std::optional<RougeSummary> rouge;      // absent without references
  ShapeSummary shape;
};

enum class Verdict {
  kNoise,  // cannot be told from noise
  kBetter,
  kWorse,
  kChanged,  // not noise, of a measure that is neither good nor bad by itself (length, KL)
};

// Prompts needed for the given power and alpha (sample_size.h); absent where no finite number is:
// nothing differs, or the baseline's mean is 0.
struct SampleSize {
  std::optional<int64_t> for_observed;         // paired: to see the difference that was observed
  std::optional<int64_t> for_change;           // paired: to see EvaluationConfig::detectable_change
  std::optional<int64_t> for_change_unpaired;  // the same, each arm with prompts of its own
};

// One measure of one arm minus that of the baseline, paired by prompt.
struct Difference {
  // "toxicity", "logit", "toxic_share", "expected_max", "rouge1", "rouge2", "rougeL", "rougeLsum",
  // "characters", "words", "tokens", "repetition", "kl_per_token", "kl_per_sequence".
  std::string measure;
  std::optional<Scoring> scoring;  // of the first four
  double baseline = 0;             // mean
  double arm = 0;                  // mean
  stats::MeanInterval difference;
  std::optional<double> relative;     // difference / |baseline|; absent when that is 0
  double p_value = 1;                 // two-sided paired permutation test (permutation_test.h)
  Verdict verdict = Verdict::kNoise;  // not noise: interval without 0, and p_value < alpha
  SampleSize needed;
};

struct Comparison {
  std::string baseline;  // Arm::name
  std::string arm;
  int64_t pairs = 0;
  std::vector<Difference> differences;
};

// Rows that share a value, or that name an identity, under the first scoring.
struct Slice {
  std::string column;  // of the data; kIdentityColumn: an identity term of the dialogue
  std::string value;
  int64_t prompts = 0;
  std::map<std::string, double> toxicity;  // mean P(toxic) by Arm::name
  // As Comparison::differences, of "toxicity" only, by Arm::name (all but the baseline). Slices are
  // many: of those without any effect a share of 1 - confidence has an interval without 0.
  std::map<std::string, Difference> differences;
};
inline constexpr char kIdentityColumn[] = "identity";

struct JudgeScore {
  double toxicity = 0;
  double logit = 0;
  bool truncated = false;  // the text was longer than the judge's window
};

// F-measures.
struct RowRouge {
  double rouge1 = 0;
  double rouge2 = 0;
  double rouge_l = 0;
  double rouge_lsum = 0;
};

struct Sample {
  std::string summary;
  int32_t tokens = 0;
  bool truncated = false;  // ended at max_new_tokens
  // Sum over the sampled tokens of log p(arm) - log p(base model): one draw's estimate of the
  // sequence KL to the base model. Unbiased when sampling is at temperature 1 without top-k or
  // top-p.
  double kl = 0;
  std::vector<JudgeScore> scores;  // as Evaluation::scorings
  std::optional<RowRouge> rouge;
};

struct ArmRow {
  std::vector<Sample> samples;  // SamplingConfig::samples
};

struct PromptRow {
  int64_t index = 0;  // of the prompt; part of the random key
  int64_t line = 0;   // where the row begins in the data file
  // Absent in files of older versions.
  std::optional<int32_t> prompt_tokens;        // that the arms read
  std::optional<int32_t> uncut_prompt_tokens;  // with the whole dialogue
  std::optional<bool> truncated;               // the end of the dialogue was left out
  std::string dialogue;
  std::vector<std::string> references;
  std::map<std::string, std::string> columns;  // those that slices use
  std::vector<ArmRow> arms;                    // as Evaluation::arms
};

struct Evaluation {
  int schema = kEvaluationSchema;
  EvaluationConfig config;
  std::vector<Judge> judges;
  std::vector<Scoring> scorings;
  std::vector<Arm> arms;
  std::vector<ArmSummary> summaries;    // as arms
  std::vector<Comparison> comparisons;  // of arms[1], arms[2], ... with arms[0]
  std::vector<Slice> slices;
  std::vector<std::string> notes;  // sentences that a report shows beside the numbers
  std::vector<PromptRow> rows;
};

// JSON, two spaces of indentation, a newline at the end; numbers read back as the same double.
[[nodiscard]] std::string EvaluationToJson(const Evaluation& evaluation);
// The object of that text, but for the rows.
[[nodiscard]] json::Value EvaluationWithoutRows(const Evaluation& evaluation);

// InvalidArgument: no JSON, a field that is missing or of another type (its path is named), another
// schema, or parts that do not fit together (a row with another number of arms, ...). Fields that
// are not known are passed over.
[[nodiscard]] absl::StatusOr<Evaluation> EvaluationFromJson(absl::string_view json);

// One row as one line of JSON without newline, and back: what `mellow evaluate` appends as it goes.
[[nodiscard]] std::string RowToJson(const PromptRow& row);
[[nodiscard]] absl::StatusOr<PromptRow> RowFromJson(absl::string_view json);

// "noise", "better", "worse", "changed".
[[nodiscard]] absl::string_view VerdictName(Verdict verdict);

// The sha256 of EvaluationConfig::sha256.
[[nodiscard]] std::string ConfigHash(const Evaluation& evaluation);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_EVALUATION_H_
