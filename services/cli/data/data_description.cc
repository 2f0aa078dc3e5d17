#include "services/cli/data/data_description.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/data/shuffle.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/evaluate/evaluation_engines.h"
#include "services/cli/terminal/progress_line.h"

namespace mellow::cli {
namespace {

constexpr size_t kTextsPerCall = 32;
constexpr absl::Duration kPatience = absl::Seconds(30);

// The columns to describe, of those that the file has.
absl::StatusOr<std::vector<std::string>> ChooseColumns(const DescribeOptions& options,
                                                       const std::vector<std::string>& names) {
  if (names.empty()) return std::vector<std::string>{options.column};  // no row is an object
  const data::Dataset file(options.file, names, {});
  MELLOW_RETURN_IF_ERROR(file.ColumnIndex(options.column).status());
  std::vector<std::string> columns = {options.column};
  const std::string summary = options.summary_column.empty() ? "summary" : options.summary_column;
  const absl::Status found = file.ColumnIndex(summary).status();
  if (!options.summary_column.empty()) MELLOW_RETURN_IF_ERROR(found);
  if (found.ok() && summary != options.column) columns.push_back(summary);
  return columns;
}

// A file without any good row still has columns to name.
absl::Status CheckHasRows(const std::string& file, const data::Dataset& dataset) {
  if (!dataset.rows().empty()) return absl::OkStatus();
  if (dataset.skipped().empty())
    return absl::InvalidArgumentError(absl::StrCat(file, ": has no rows"));
  return absl::InvalidArgumentError(absl::StrCat(
      "none of ", dataset.skipped().size(), " rows is good: ", dataset.skipped()[0].message()));
}

absl::Status CountTokens(const DescribeOptions& options, Description* d) {
  if (options.model.empty()) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(const auto tokenizer, text::LoadTokenizer(options.model));
  // {dialogue} is the dialogue column, whatever it is called.
  const std::string text = absl::StrReplaceAll(
      options.prompt_template, {{"{dialogue}", absl::StrCat("{", options.column, "}")}});
  const absl::StatusOr<data::PromptTemplate> prompt =
      data::PromptTemplate::Parse(text, d->dataset.columns());
  if (!prompt.ok()) return Annotate(prompt.status(), "--prompt-template");
  for (const data::Row& row : d->dataset.rows()) {
    for (size_t c = 0; c < d->reports.size(); ++c) {
      MELLOW_ASSIGN_OR_RETURN(const auto ids, tokenizer->Encode(row.values[c]));
      d->reports[c].tokens.push_back(static_cast<double>(ids.size()));
    }
    MELLOW_ASSIGN_OR_RETURN(const auto ids, tokenizer->Encode(prompt->Render(row)));
    d->prompt_tokens.push_back(static_cast<double>(ids.size()));
  }
  return absl::OkStatus();
}

// Rows to score: all, or as many as were asked for, drawn by a fixed seed, in file order.
std::vector<size_t> RowsToScore(const DescribeOptions& options, size_t rows) {
  const std::vector<uint32_t> order =
      data::Permutation(/*seed=*/0, /*epoch=*/0, static_cast<uint32_t>(rows));
  std::vector<size_t> chosen(order.begin(), order.end());
  if (options.score_rows > 0 && chosen.size() > static_cast<size_t>(options.score_rows))
    chosen.resize(static_cast<size_t>(options.score_rows));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

absl::Status ScoreRows(const DescribeOptions& options, Description* d) {
  if (options.dir.empty() && options.reward_model.empty()) return absl::OkStatus();
  std::optional<ClusterCalls> calls;
  std::unique_ptr<JudgeEngine> judge;
  if (options.reward_model.empty()) {
    calls.emplace(CanonicalFolder(options.dir), kPatience);
    MELLOW_ASSIGN_OR_RETURN(judge, MakeClusterJudge(&*calls, "", options.toxic_label));
  } else {
    MELLOW_ASSIGN_OR_RETURN(const nn::LoadOptions load, ToLoadOptions(options.local));
    MELLOW_ASSIGN_OR_RETURN(judge,
                            MakeLocalJudge(options.reward_model, load, "", options.toxic_label));
  }
  d->judge = judge->judge().model;
  d->toxic_label = judge->judge().toxic_label;
  const std::vector<size_t> rows = RowsToScore(options, d->dataset.rows().size());
  ProgressLine progress(stderr, isatty(STDERR_FILENO) != 0, "scoring", 0,
                        rows.size() * d->reports.size(), SteadyTime::Now());
  for (size_t c = 0; c < d->reports.size(); ++c) {
    for (size_t begin = 0; begin < rows.size(); begin += kTextsPerCall) {
      std::vector<std::string> texts;
      for (size_t i = begin; i < std::min(begin + kTextsPerCall, rows.size()); ++i)
        texts.push_back(d->dataset.rows()[rows[i]].values[c]);
      MELLOW_ASSIGN_OR_RETURN(const auto scores, judge->Score(texts));
      for (const eval::JudgeScore& score : scores) d->reports[c].toxicity.push_back(score.toxicity);
      progress.Advance(texts.size(), SteadyTime::Now());
    }
  }
  return absl::OkStatus();
}

}  // namespace

size_t Truncated(const DescribeOptions& options, const Description& d) {
  if (options.max_source_tokens == 0) return 0;
  return static_cast<size_t>(
      std::count_if(d.prompt_tokens.begin(), d.prompt_tokens.end(),
                    [&](double tokens) { return tokens > options.max_source_tokens; }));
}

absl::StatusOr<Description> DescribeData(const DescribeOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(options.file));
  MELLOW_ASSIGN_OR_RETURN(std::vector<std::string> names, data::ColumnNames(bytes, options.file));
  data::ReadOptions read = {.skip_bad_rows = true};
  MELLOW_ASSIGN_OR_RETURN(read.columns, ChooseColumns(options, names));
  MELLOW_ASSIGN_OR_RETURN(data::Dataset dataset, data::ParseDataset(bytes, options.file, read));
  MELLOW_RETURN_IF_ERROR(CheckHasRows(options.file, dataset));
  Description d = {.dataset = std::move(dataset), .columns = std::move(names)};
  for (size_t c = 0; c < d.dataset.columns().size(); ++c)
    d.reports.push_back({d.dataset.columns()[c], data::EmptyRows(d.dataset, c),
                         data::CharacterLengths(d.dataset, c)});
  d.duplicates = data::DuplicateRows(d.dataset, 0);
  MELLOW_RETURN_IF_ERROR(CountTokens(options, &d));
  MELLOW_RETURN_IF_ERROR(ScoreRows(options, &d));
  return d;
}

}  // namespace mellow::cli
