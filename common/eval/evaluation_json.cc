#include <concepts>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/eval/evaluation.h"
#include "common/json/struct_json.h"
#include "common/stats/fields.h"

namespace mellow::eval {

absl::Span<const Verdict> EnumValues(Verdict) {
  static constexpr Verdict kAll[] = {Verdict::kNoise, Verdict::kBetter, Verdict::kWorse,
                                     Verdict::kChanged};
  return kAll;
}
absl::string_view EnumName(Verdict verdict) { return VerdictName(verdict); }

// The fields of every struct, for struct_json.h.

template <typename F>
void Fields(F& f, Judge& x) {
  f("name", x.name);
  f("independent", x.independent);
  f("model", x.model);
  f("sha256", x.sha256);
  f("label", x.label);
  f("toxic_label", x.toxic_label);
}
template <typename F>
void Fields(F& f, Scoring& x) {
  f("judge", x.judge);
  f("text", x.text);
}
template <typename F>
void Fields(F& f, Arm& x) {
  f("name", x.name);
  f("kind", x.kind);
  f("version", x.version);
  f("sha256", x.sha256);
  f("path", x.path);
  f("run_id", x.run_id);
  f("run_name", x.run_name);
}
template <typename F>
void Fields(F& f, SamplingConfig& x) {
  f("do_sample", x.do_sample);
  f("temperature", x.temperature);
  f("top_k", x.top_k);
  f("top_p", x.top_p);
  f("num_beams", x.num_beams);
  f("max_new_tokens", x.max_new_tokens);
  f("min_new_tokens", x.min_new_tokens);
  f("seed", x.seed);
  f("samples", x.samples);
}
template <typename F>
void Fields(F& f, EvaluationConfig& x) {
  f("name", x.name);
  f("sha256", x.sha256);
  f("data_path", x.data_path);
  f("data_sha256", x.data_sha256);
  f("data_rows", x.data_rows);
  f("prompts", x.prompts);
  f("prompts_sha256", x.prompts_sha256);
  f("prompt_template", x.prompt_template);
  f("reference_column", x.reference_column);
  f("policy_model", x.policy_model);
  f("policy_model_sha256", x.policy_model_sha256);
  f("sampling", x.sampling);
  f("stemmer", x.stemmer);
  f("resamples", x.resamples);
  f("permutations", x.permutations);
  f("statistics_seed", x.statistics_seed);
  f("confidence", x.confidence);
  f("alpha", x.alpha);
  f("power", x.power);
  f("detectable_change", x.detectable_change);
}
template <typename F>
void Fields(F& f, ToxicitySummary& x) {
  f("scoring", x.scoring);
  f("toxicity", x.toxicity);
  f("toxicity_sd", x.toxicity_sd);
  f("logit", x.logit);
  f("logit_sd", x.logit_sd);
  f("toxic_share", x.toxic_share);
  f("expected_max", x.expected_max);
}
template <typename F, typename Rouge>
requires std::same_as<Rouge, RougeSummary> || std::same_as<Rouge, RowRouge>
void Fields(F& f, Rouge& x) {
  f("rouge1", x.rouge1);
  f("rouge2", x.rouge2);
  f("rougeL", x.rouge_l);
  f("rougeLsum", x.rouge_lsum);
}
template <typename F>
void Fields(F& f, ShapeSummary& x) {
  f("characters", x.characters);
  f("words", x.words);
  f("tokens", x.tokens);
  f("repetition", x.repetition);
  f("distinct_1", x.distinct_1);
  f("distinct_2", x.distinct_2);
  f("kl_per_token", x.kl_per_token);
  f("kl_per_sequence", x.kl_per_sequence);
  f("empty", x.empty);
  f("truncated", x.truncated);
  f("texts", x.texts);
}
template <typename F>
void Fields(F& f, ArmSummary& x) {
  f("arm", x.arm);
  f("toxicity", x.toxicity);
  f("rouge", x.rouge);
  f("shape", x.shape);
}
template <typename F>
void Fields(F& f, SampleSize& x) {
  f("for_observed", x.for_observed);
  f("for_change", x.for_change);
  f("for_change_unpaired", x.for_change_unpaired);
}
template <typename F>
void Fields(F& f, Difference& x) {
  f("measure", x.measure);
  f("scoring", x.scoring);
  f("baseline", x.baseline);
  f("arm", x.arm);
  f("difference", x.difference);
  f("relative", x.relative);
  f("p_value", x.p_value);
  f("verdict", x.verdict);
  f("needed", x.needed);
}
template <typename F>
void Fields(F& f, Comparison& x) {
  f("baseline", x.baseline);
  f("arm", x.arm);
  f("pairs", x.pairs);
  f("differences", x.differences);
}
template <typename F>
void Fields(F& f, Slice& x) {
  f("column", x.column);
  f("value", x.value);
  f("prompts", x.prompts);
  f("toxicity", x.toxicity);
  f("differences", x.differences);
}
template <typename F>
void Fields(F& f, JudgeScore& x) {
  f("toxicity", x.toxicity);
  f("logit", x.logit);
  f("truncated", x.truncated);
}
template <typename F>
void Fields(F& f, Sample& x) {
  f("summary", x.summary);
  f("tokens", x.tokens);
  f("truncated", x.truncated);
  f("kl", x.kl);
  f("scores", x.scores);
  f("rouge", x.rouge);
}
template <typename F>
void Fields(F& f, ArmRow& x) {
  f("samples", x.samples);
}
template <typename F>
void Fields(F& f, PromptRow& x) {
  f("index", x.index);
  f("line", x.line);
  f("prompt_tokens", x.prompt_tokens);
  f("uncut_prompt_tokens", x.uncut_prompt_tokens);
  f("truncated", x.truncated);
  f("dialogue", x.dialogue);
  f("references", x.references);
  f("columns", x.columns);
  f("arms", x.arms);
}
template <typename F>
void Fields(F& f, Evaluation& x) {
  f("schema", x.schema);
  f("config", x.config);
  f("judges", x.judges);
  f("scorings", x.scorings);
  f("arms", x.arms);
  f("summaries", x.summaries);
  f("comparisons", x.comparisons);
  f("slices", x.slices);
  f("notes", x.notes);
  f("rows", x.rows);
}

namespace {

absl::Status CheckSize(absl::string_view what, size_t got, size_t wanted) {
  if (got == wanted) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " has ", got, " entries, there must be ", wanted));
}

// What readers may rely on when they follow the order of arms and scorings.
absl::Status CheckShape(const Evaluation& e) {
  if (e.arms.empty()) return absl::InvalidArgumentError("arms: at least one is needed");
  MELLOW_RETURN_IF_ERROR(CheckSize("summaries", e.summaries.size(), e.arms.size()));
  MELLOW_RETURN_IF_ERROR(CheckSize("comparisons", e.comparisons.size(), e.arms.size() - 1));
  MELLOW_RETURN_IF_ERROR(CheckSize("rows", e.rows.size(), static_cast<size_t>(e.config.prompts)));
  std::set<absl::string_view> names;
  for (size_t a = 0; a < e.arms.size(); ++a) {
    const std::string& name = e.arms[a].name;
    if (!names.insert(name).second)
      return absl::InvalidArgumentError(
          absl::StrCat("arms[", a, "].name ", name, ": another arm has it"));
    if (a > 0 && e.comparisons[a - 1].arm != name)
      return absl::InvalidArgumentError(absl::StrCat("comparisons[", a - 1, "].arm ",
                                                     e.comparisons[a - 1].arm, ": must be ", name));
  }
  for (size_t a = 0; a < e.arms.size(); ++a) {
    MELLOW_RETURN_IF_ERROR(CheckSize(absl::StrCat("summaries[", a, "].toxicity"),
                                     e.summaries[a].toxicity.size(), e.scorings.size()));
  }
  for (size_t r = 0; r < e.rows.size(); ++r) {
    const std::string row = absl::StrCat("rows[", r, "].arms");
    MELLOW_RETURN_IF_ERROR(CheckSize(row, e.rows[r].arms.size(), e.arms.size()));
    for (const ArmRow& arm : e.rows[r].arms) {
      MELLOW_RETURN_IF_ERROR(CheckSize(absl::StrCat(row, "[].samples"), arm.samples.size(),
                                       static_cast<size_t>(e.config.sampling.samples)));
      for (const Sample& sample : arm.samples) {
        MELLOW_RETURN_IF_ERROR(CheckSize(absl::StrCat(row, "[].samples[].scores"),
                                         sample.scores.size(), e.scorings.size()));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNoise:
      return "noise";
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kChanged:
      return "changed";
  }
  return "noise";
}

std::string EvaluationToJson(const Evaluation& evaluation) {
  return json::StructToJson(evaluation, 2) + "\n";
}

json::Value EvaluationWithoutRows(const Evaluation& evaluation) {
  Evaluation copy = evaluation;
  copy.rows.clear();
  json::Value value = json::StructWriter::Write(copy);
  value.Erase("rows");
  return value;
}

absl::StatusOr<Evaluation> EvaluationFromJson(absl::string_view text) {
  MELLOW_ASSIGN_OR_RETURN(Evaluation evaluation,
                          json::StructFromJson<Evaluation>(text, kEvaluationSchema, "evaluations"));
  MELLOW_RETURN_IF_ERROR(CheckShape(evaluation));
  return evaluation;
}

std::string RowToJson(const PromptRow& row) { return json::StructToJson(row, -1); }

absl::StatusOr<PromptRow> RowFromJson(absl::string_view text) {
  return json::StructFromJson<PromptRow>(text);
}

std::string ConfigHash(const Evaluation& evaluation) {
  EvaluationConfig config = evaluation.config;
  config.sha256.clear();
  using json::StructWriter;
  return Sha256Hex(json::Write({{"schema", evaluation.schema},
                                {"config", StructWriter::Write(config)},
                                {"judges", StructWriter::Write(evaluation.judges)},
                                {"scorings", StructWriter::Write(evaluation.scorings)},
                                {"arms", StructWriter::Write(evaluation.arms)}}));
}

}  // namespace mellow::eval
