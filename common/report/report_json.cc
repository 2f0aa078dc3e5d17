#include "common/report/report_json.h"

#include <algorithm>
#include <utility>

#include "common/json/struct_json.h"
#include "common/report/words.h"
#include "common/stats/fields.h"

namespace mellow::eval {

// The enum's name, as in evaluation.json.
inline absl::string_view EnumName(Verdict verdict) { return VerdictName(verdict); }

}  // namespace mellow::eval

namespace mellow::report {

// What the JSON says of one summary of a pair. (Not in an unnamed namespace: Fields must be found
// beside them.)
struct SpanJson {
  std::string text;
  double toxicity_without = 0;
  double evidence = 0;
  int mark = 0;
};
struct SideJson {
  std::string arm;
  std::string summary;
  std::optional<double> toxicity;
  int32_t tokens = 0;
  bool truncated = false;
  std::optional<double> rouge_l;
  std::optional<std::vector<SpanJson>> spans;  // null: no judge was at hand
};
struct PairJson {
  int64_t index = 0;
  int64_t line = 0;
  std::string dialogue;
  std::vector<std::string> references;
  std::vector<SideJson> arms;
};

// Every struct lists its fields once: `f(name, field)` (common/json/struct_json.h).

template <typename F>
void Fields(F& f, ArmVerdict& x) {
  f("baseline", x.baseline);
  f("arm", x.arm);
  f("toxicity", x.toxicity);
  f("rougeL", x.rouge_l);
  f("sentence", x.sentence);
}
template <typename F>
void Fields(F& f, Bins& x) {
  f("lower", x.lower);
  f("width", x.width);
  f("count", x.count);
}
template <typename F>
void Fields(F& f, HistogramPanel& x) {
  f("arm", x.label);
  f("counts", x.counts);
  f("mean", x.mean);
}
template <typename F>
void Fields(F& f, Distribution& x) {
  f("bins", x.bins);
  f("arms", x.panels);
}
template <typename F>
void Fields(F& f, PairedChange& x) {
  f("baseline", x.baseline);
  f("arm", x.arm);
  f("lower", x.lower);
  f("higher", x.higher);
  f("same", x.same);
  f("before", x.before);
  f("after", x.after);
}
template <typename F>
void Fields(F& f, AdapterId& x) {
  f("version", x.version);
  f("sha256", x.sha256);
}
template <typename F>
void Fields(F& f, PpoStep& x) {
  f("step", x.step);
  f("adapter", x.adapter);
  f("objective_kl", x.objective_kl);
  f("returns_mean", x.returns_mean);
  f("advantages_mean", x.advantages_mean);
  f("score_mean", x.score_mean);
  f("toxicity_mean", x.toxicity_mean);
  f("response_tokens_mean", x.response_tokens_mean);
  f("repetition_mean", x.repetition_mean);
  f("judge_gap", x.judge_gap);
  f("tokens_per_second", x.tokens_per_second);
  f("seconds", x.seconds);
  f("stats", x.stats);
  f("phase_seconds", x.phase_seconds);
}
// What runs of both kinds have.
template <typename F, typename Run>
void RunFields(F& f, Run& x) {
  f("run_id", x.run_id);
  f("name", x.name);
  f("state", x.state);
  f("error", x.error);
  f("begun_unix_seconds", x.begun_unix_seconds);
  f("ended_unix_seconds", x.ended_unix_seconds);
  f("spec", x.spec);
  f("spec_sha256", x.spec_sha256);
  f("planned_steps", x.planned_steps);
  f("start_adapter", x.start_adapter);
  f("adapter_path", x.adapter_path);
  f("steps", x.steps);
}
template <typename F>
void Fields(F& f, PinnedModel& x) {
  f("role", x.role);
  f("sha256", x.sha256);
  f("precision", x.precision);
}
template <typename F>
void Fields(F& f, GuardTrip& x) {
  f("step", x.step);
  f("good_step", x.good_step);
  f("good", x.good);
  f("check", x.check);
  f("value", x.value);
  f("bound", x.bound);
  f("reason", x.reason);
}
template <typename F>
void Fields(F& f, PpoRun& x) {
  RunFields(f, x);
  f("start", x.start);
  f("adapter", x.adapter);
  f("models", x.models);
  f("guard_trips", x.guard_trips);
}
template <typename F>
void Fields(F& f, SftStep& x) {
  f("step", x.step);
  f("epoch", x.epoch);
  f("loss", x.loss);
  f("learning_rate", x.learning_rate);
  f("gradient_norm", x.gradient_norm);
  f("dev_loss", x.dev_loss);
}
template <typename F>
void Fields(F& f, SftRun& x) {
  RunFields(f, x);
  f("trainable_parameters", x.trainable_parameters);
  f("total_parameters", x.total_parameters);
  f("best_step", x.best_step);
  f("best_dev_loss", x.best_dev_loss);
  f("adapter_sha256", x.adapter_sha256);
}
template <typename F>
void Fields(F& f, Gate& x) {
  f("name", x.name);
  f("passed", x.passed);
  f("detail", x.detail);
}
template <typename F>
void Fields(F& f, Promotion& x) {
  f("unix_seconds", x.unix_seconds);
  f("kind", x.kind);
  f("adapter", x.adapter);
  f("previous", x.previous);
  f("forced", x.forced);
  f("gates", x.gates);
  f("evaluation_sha256", x.evaluation_sha256);
  f("reason", x.reason);
}
template <typename F>
void Fields(F& f, ClusterHistory& x) {
  f("runs", x.runs);
  f("sft", x.sft);
  f("promotions", x.promotions);
}
template <typename F>
void Fields(F& f, Origin& x) {
  f("kind", x.kind);
  f("run_id", x.run_id);
  f("run_name", x.run_name);
  f("spec_sha256", x.spec_sha256);
  f("step", x.step);
  f("adapter", x.adapter);
  f("start", x.start);
}
template <typename F>
void Fields(F& f, ArmLineage& x) {
  f("arm", x.arm);
  f("sha256", x.sha256);
  f("origins", x.origins);
}
template <typename F>
void Fields(F& f, SpanJson& x) {
  f("text", x.text);
  f("toxicity_without", x.toxicity_without);
  f("evidence", x.evidence);
  f("mark", x.mark);
}
template <typename F>
void Fields(F& f, SideJson& x) {
  f("arm", x.arm);
  f("summary", x.summary);
  f("toxicity", x.toxicity);
  f("tokens", x.tokens);
  f("truncated", x.truncated);
  f("rougeL", x.rouge_l);
  f("spans", x.spans);
}
template <typename F>
void Fields(F& f, PairJson& x) {
  f("index", x.index);
  f("line", x.line);
  f("dialogue", x.dialogue);
  f("references", x.references);
  f("arms", x.arms);
}

namespace {

using json::Value;
using Write = json::StructWriter;

SideJson SideJsonOf(const std::string& arm, const eval::ArmRow& row, const TextEvidence* evidence) {
  SideJson side{.arm = arm};
  if (row.samples.empty()) return side;
  const eval::Sample& sample = row.samples[0];
  side.summary = sample.summary;
  if (!sample.scores.empty()) side.toxicity = sample.scores[0].toxicity;
  side.tokens = sample.tokens;
  side.truncated = sample.truncated;
  if (sample.rouge.has_value()) side.rouge_l = sample.rouge->rouge_l;
  if (evidence == nullptr) return side;
  side.spans.emplace();
  for (const Span& word : evidence->spans) {
    side.spans->push_back({.text = sample.summary.substr(word.begin, word.end - word.begin),
                           .toxicity_without = word.toxicity_without,
                           .evidence = word.evidence,
                           .mark = MarkOf(*evidence, word)});
  }
  return side;
}

std::vector<PairJson> PairsOf(const ReportInput& input) {
  const eval::Evaluation& e = input.evaluation;
  std::vector<PairJson> pairs;
  for (size_t r = 0; r < std::min(e.rows.size(), kShownPairs); ++r) {
    const eval::PromptRow& row = e.rows[r];
    PairJson pair{.index = row.index,
                  .line = row.line,
                  .dialogue = row.dialogue,
                  .references = row.references};
    for (size_t a = 0; a < e.arms.size(); ++a)
      pair.arms.push_back(SideJsonOf(e.arms[a].name, row.arms[a], EvidenceOf(input, r, a)));
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

}  // namespace

std::string ToJson(const ReportInput& input, const Findings& findings,
                   const std::vector<ArmLineage>& lineage) {
  const Value value = {
      {"schema", kReportSchema},
      {"title", ReportTitle(input.evaluation)},
      {"verdicts", Write::Write(findings.verdicts)},
      {"warnings", Write::Write(findings.warnings)},
      {"evaluation_file_sha256", input.evaluation_file_sha256},
      {"evaluation", eval::EvaluationWithoutRows(input.evaluation)},
      {"distributions",
       {{"toxicity", Write::Write(findings.toxicity)}, {"tokens", Write::Write(findings.tokens)}}},
      {"changes", Write::Write(findings.changes)},
      {"spans_judge", input.spans.has_value() ? Value(input.spans->judge) : Value()},
      {"pairs", Write::Write(PairsOf(input))},
      {"cluster", Write::Write(input.cluster)},
      {"lineage", input.cluster.has_value() ? Write::Write(lineage) : Value()},
      {"review", input.review.has_value() ? review::ValueOf(*input.review) : Value()}};
  return json::Write(value, {.indentation = 2}) + "\n";
}

}  // namespace mellow::report
