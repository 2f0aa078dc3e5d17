// mellow report: an evaluation, and what the cluster and people say, as HTML, Markdown and JSON.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/report/report.h"
#include "services/cli/cluster_calls.h"
#include "services/cli/cluster_history.h"
#include "services/cli/cluster_options.h"
#include "services/cli/command.h"

namespace mellow::cli {
namespace {

constexpr size_t kTextsACall = 32;
constexpr absl::Duration kPatience = absl::Minutes(2);

struct ReportOptions {
  std::string evaluation;
  std::string dir;  // empty: without a cluster
  std::string review;
  std::string out;
  bool no_spans = false;
};

absl::StatusOr<std::vector<double>> ScoreBy(ClusterCalls* calls,
                                            const std::vector<std::string>& texts) {
  reward::v1::ScoreRequest request;
  request.set_lane(reward::v1::LANE_ROLLOUT);
  for (const std::string& text : texts) request.add_texts(text);
  MELLOW_ASSIGN_OR_RETURN(const reward::v1::ScoreResponse response, calls->Score(request));
  std::vector<double> toxicity;
  for (const reward::v1::TextScore& score : response.scores()) toxicity.push_back(score.toxicity());
  return toxicity;
}

// Asks the cluster's reward servers about the words of the pairs that are shown.
absl::StatusOr<report::PairSpans> AttributeWords(const std::string& folder,
                                                 const eval::Evaluation& evaluation) {
  const size_t rows = std::min(evaluation.rows.size(), report::kShownPairs);
  const size_t arms = evaluation.arms.size();
  std::vector<std::string> texts;
  for (size_t r = 0; r < rows; ++r) {
    for (const eval::ArmRow& arm : evaluation.rows[r].arms)
      texts.push_back(arm.samples.empty() ? "" : arm.samples[0].summary);
  }
  ClusterCalls calls(folder, kPatience);
  if (isatty(STDERR_FILENO) != 0)
    std::fprintf(stderr, "scoring the words of %zu summaries ...\n", texts.size());
  MELLOW_ASSIGN_OR_RETURN(
      const std::vector<report::TextEvidence> evidence,
      report::LeaveSpansOut(texts, kTextsACall, [&](const std::vector<std::string>& batch) {
        return ScoreBy(&calls, batch);
      }));
  report::PairSpans words{.judge = "the cluster's reward model, shown the summary alone"};
  for (size_t r = 0; r < rows; ++r) {
    const auto begin = evidence.begin() + static_cast<std::ptrdiff_t>(r * arms);
    words.rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(arms));
  }
  return words;
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
  if (options.dir.empty()) return input;
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_ASSIGN_OR_RETURN(input.cluster, CollectClusterHistory(folder));
  if (!options.no_spans) {
    MELLOW_ASSIGN_OR_RETURN(input.spans, AttributeWords(folder, input.evaluation));
  }
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
  sub->add_option("--review", o->review, "Summary of people's ratings [none]")
      ->type_name("SUMMARY.json");
  sub->add_option("--out", o->out, "Folder for report.html, report.md and report.json")->required();
  sub->add_flag("--no-spans", o->no_spans,
                "Do not mark toxic words (each word of the first twenty pairs costs one score)");
  sub->footer(
      "Examples:\n  mellow report evaluation.json --out report\n"
      "  mellow report evaluation.json --dir .mellow --review review.json --out report");
  sub->callback([=] { *chosen = [=] { return MakeReport(*o); }; });
}

}  // namespace mellow::cli
