// mellow report: an evaluation, and what the cluster and people say, as HTML, Markdown and JSON.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/plural.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/report/numbers.h"
#include "common/report/report.h"
#include "services/cli/cluster/cluster_calls.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/evaluate/cluster_history.h"
#include "services/cli/evaluate/evaluation_engines.h"
#include "services/cli/models/model_loading.h"
#include "services/cli/terminal/command.h"
#include "services/wire/models.h"

namespace mellow::cli {
namespace {

constexpr size_t kEvidenceTextsPerCall = 32;
constexpr absl::Duration kReportPatience = absl::Minutes(2);

struct ReportOptions {
  std::string evaluation;
  std::string dir;  // empty: without a cluster
  std::string review;
  std::string out;
  std::string reward_model;  // folder; empty: the cluster's
  std::string toxic_label;   // empty: the judge's own
  ModelOptions local = {.device = "cpu"};
  bool no_spans = false;
};

absl::StatusOr<std::vector<double>> ScoreBy(JudgeEngine* judge,
                                            const std::vector<std::string>& texts) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<eval::JudgeScore> scores, judge->Score(texts));
  std::vector<double> toxicity;
  for (const eval::JudgeScore& score : scores) toxicity.push_back(score.toxicity);
  return toxicity;
}

// Asks the judge about the words of the pairs that are shown. `name`: of the judge, in words.
absl::StatusOr<report::PairSpans> AttributeWords(JudgeEngine* judge, const std::string& name,
                                                 const eval::Evaluation& evaluation) {
  const size_t rows = std::min(evaluation.rows.size(), report::kShownPairs);
  const size_t arms = evaluation.arms.size();
  std::vector<std::string> texts;
  for (size_t r = 0; r < rows; ++r) {
    for (const eval::ArmRow& arm : evaluation.rows[r].arms)
      texts.push_back(arm.samples.empty() ? "" : arm.samples[0].summary);
  }
  if (isatty(STDERR_FILENO) != 0)
    std::fprintf(stderr, "scoring the words of %s ...\n",
                 Plural(static_cast<int64_t>(texts.size()), "summary", "summaries").c_str());
  MELLOW_ASSIGN_OR_RETURN(const std::vector<report::TextEvidence> evidence,
                          report::LeaveSpansOut(texts, kEvidenceTextsPerCall,
                                                [&](const std::vector<std::string>& batch) {
                                                  return ScoreBy(judge, batch);
                                                }));
  report::PairSpans words{.judge = absl::StrCat(name, ", shown the summary alone")};
  for (size_t r = 0; r < rows; ++r) {
    const auto begin = evidence.begin() + static_cast<std::ptrdiff_t>(r * arms);
    words.rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(arms));
  }
  return words;
}

// None: no judge is at hand, or none is wanted.
absl::StatusOr<std::optional<report::PairSpans>> CollectSpans(const ReportOptions& options,
                                                              const eval::Evaluation& evaluation) {
  if (options.no_spans) return std::nullopt;
  if (!options.reward_model.empty()) {
    MELLOW_ASSIGN_OR_RETURN(const nn::LoadOptions load, ToLoadOptions(options.local));
    absl::StatusOr<std::unique_ptr<JudgeEngine>> judge =
        MakeLocalJudge(options.reward_model, load, /*label=*/"", options.toxic_label);
    if (!judge.ok()) return Annotate(judge.status(), "--reward-model");
    return AttributeWords(judge->get(),
                          absl::StrCat("the classifier in ", options.reward_model, " (",
                                       ShortHash((*judge)->judge().sha256), ")"),
                          evaluation);
  }
  if (options.dir.empty()) return std::nullopt;
  ClusterCalls calls(CanonicalFolder(options.dir), kReportPatience);
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<JudgeEngine> judge,
                          MakeClusterJudge(&calls, /*label=*/"", options.toxic_label));
  return AttributeWords(judge.get(), "the cluster's reward model", evaluation);
}

absl::StatusOr<report::ReportInput> CollectInput(const ReportOptions& options) {
  report::ReportInput input;
  MELLOW_ASSIGN_OR_RETURN(const std::string json, ReadFile(options.evaluation));
  absl::StatusOr<eval::Evaluation> evaluation = eval::EvaluationFromJson(json);
  if (!evaluation.ok()) return Annotate(evaluation.status(), options.evaluation);
  input.evaluation = *std::move(evaluation);
  input.evaluation_file_sha256 = Sha256Hex(json);
  if (!options.review.empty()) {
    MELLOW_ASSIGN_OR_RETURN(const std::string review_json, ReadFile(options.review));
    absl::StatusOr<review::ReviewSummary> review = review::ReviewSummaryFromJson(review_json);
    if (!review.ok()) return Annotate(review.status(), options.review);
    input.review = *std::move(review);
  }
  if (!options.dir.empty()) {
    MELLOW_ASSIGN_OR_RETURN(input.cluster, CollectClusterHistory(CanonicalFolder(options.dir)));
  }
  MELLOW_ASSIGN_OR_RETURN(input.spans, CollectSpans(options, input.evaluation));
  return input;
}

absl::StatusOr<int> MakeReport(const ReportOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const report::ReportInput input, CollectInput(options));
  // Everything is made before the first file is written.
  const report::Report report = report::MakeReport(input);
  MELLOW_RETURN_IF_ERROR(MakeFolders(options.out));
  for (const auto& [name, text] : {std::pair{"report.json", &report.json},
                                   {"report.md", &report.markdown},
                                   {"report.html", &report.html}}) {
    const std::string path = absl::StrCat(options.out, "/", name);
    MELLOW_RETURN_IF_ERROR(WriteFileAtomic(path, *text));
    std::printf("%s\n", path.c_str());
  }
  return 0;
}

}  // namespace

void AddReportCommand(CLI::App* app, Action* chosen) {
  auto o = std::make_shared<ReportOptions>();
  CLI::App* sub = app->add_subcommand(
      "report", "Make a report of an evaluation: one HTML page, Markdown and JSON");
  sub->add_option("EVALUATION.json", o->evaluation, "What `mellow evaluate` wrote")->required();
  sub->add_option("--dir", o->dir,
                  "Folder of a running cluster: adds learning curves, lineage and promotions, and "
                  "marks toxic words by its reward model [none]");
  sub->add_option("--reward-model", o->reward_model,
                  "Classifier folder that marks toxic words in this process, without a cluster or "
                  "instead of its reward model [none]")
      ->transform(wire::ModelFolder());
  sub->add_option("--toxic-label", o->toxic_label,
                  "Label of that classifier or reward model whose probability is the toxicity "
                  "[its own]");
  sub->add_option("--threads", o->local.threads, "CPU threads of --reward-model; 0: all cores")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  sub->add_option("--review", o->review, "Summary of people's ratings [none]")
      ->type_name("SUMMARY.json");
  sub->add_option("--out", o->out, "Folder for report.html, report.md and report.json")->required();
  sub->add_flag("--no-spans", o->no_spans,
                "Do not mark toxic words (each word of the first twenty pairs costs one score)");
  sub->footer(
      "Examples:\n  mellow report evaluation.json --out report\n"
      "  mellow report evaluation.json --reward-model deploy/models/mini-toxicity --out report\n"
      "  mellow report evaluation.json --dir .mellow --review review.json --out report");
  sub->callback([=] { *chosen = [=] { return MakeReport(*o); }; });
}

}  // namespace mellow::cli
