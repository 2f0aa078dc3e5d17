// mellow data describe: what is in a data set, before anything is trained on it.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/base/quantile.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/data/describe.h"
#include "common/data/prompt_template.h"
#include "common/data/shuffle.h"
#include "common/text/tokenizer.h"
#include "services/cli/cluster_options.h"
#include "services/cli/command.h"
#include "services/cli/evaluation_engines.h"
#include "services/cli/histogram.h"
#include "services/cli/json_lines.h"
#include "services/cli/model_loading.h"
#include "services/cli/printable.h"
#include "services/cli/progress_line.h"
#include "services/cli/table.h"

namespace mellow::cli {
namespace {

constexpr size_t kMostLines = 10;
constexpr size_t kMostCharacters = 600;  // of an example
constexpr size_t kTextsACall = 32;
constexpr absl::Duration kPatience = absl::Seconds(30);

struct DescribeOptions {
  std::string file;
  std::string column = "dialogue";
  std::string summary_column;  // empty: "summary" where the file has it
  std::string model;
  std::string prompt_template = data::kDefaultPromptTemplate;
  int max_source_tokens = 512;
  std::string dir;
  std::string reward_model;
  ModelOptions local = {.device = "cpu"};
  int score_rows = 1000;
  int examples = 3;
  bool json = false;
};

struct ColumnReport {
  std::string name;
  std::vector<int> empty;          // lines
  std::vector<double> characters;  // a row
  std::vector<double> tokens;      // empty: no model
  std::vector<double> toxicity;    // of the rows scored
};

struct Description {
  data::Dataset dataset;             // the columns below
  std::vector<std::string> columns;  // of the file
  std::vector<ColumnReport> reports;
  std::vector<data::Duplicate> duplicates;
  std::vector<double> prompt_tokens;
  std::string judge;  // empty: not scored
};

absl::StatusOr<data::Dataset> ReadColumns(const DescribeOptions& options,
                                          const data::Dataset& all) {
  MELLOW_RETURN_IF_ERROR(all.ColumnIndex(options.column).status());
  std::vector<std::string> columns = {options.column};
  const std::string summary = options.summary_column.empty() ? "summary" : options.summary_column;
  const absl::Status found = all.ColumnIndex(summary).status();
  if (!options.summary_column.empty()) MELLOW_RETURN_IF_ERROR(found);
  if (found.ok() && summary != options.column) columns.push_back(summary);
  return data::ReadDataset(options.file, {.columns = columns, .skip_bad_rows = true});
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
    MELLOW_ASSIGN_OR_RETURN(judge, MakeClusterJudge(&*calls, "", ""));
  } else {
    MELLOW_ASSIGN_OR_RETURN(const nn::LoadOptions load, ToLoadOptions(options.local));
    MELLOW_ASSIGN_OR_RETURN(judge, MakeLocalJudge(options.reward_model, load, "", ""));
  }
  d->judge = judge->judge().model;
  const std::vector<size_t> rows = RowsToScore(options, d->dataset.rows().size());
  ProgressLine progress(stderr, isatty(STDERR_FILENO) != 0, "scoring", 0,
                        rows.size() * d->reports.size(), absl::Now());
  for (size_t c = 0; c < d->reports.size(); ++c) {
    for (size_t begin = 0; begin < rows.size(); begin += kTextsACall) {
      std::vector<std::string> texts;
      for (size_t i = begin; i < std::min(begin + kTextsACall, rows.size()); ++i)
        texts.push_back(d->dataset.rows()[rows[i]].values[c]);
      MELLOW_ASSIGN_OR_RETURN(const auto scores, judge->Score(texts));
      for (const eval::TextScore& score : scores) d->reports[c].toxicity.push_back(score.toxicity);
      progress.Advance(texts.size(), absl::Now());
    }
  }
  return absl::OkStatus();
}

size_t Truncated(const DescribeOptions& options, const Description& d) {
  return static_cast<size_t>(
      std::count_if(d.prompt_tokens.begin(), d.prompt_tokens.end(),
                    [&](double tokens) { return tokens > options.max_source_tokens; }));
}

double ToxicShare(const std::vector<double>& toxicity) {
  const auto toxic =
      std::count_if(toxicity.begin(), toxicity.end(), [](double p) { return p > 0.5; });
  return static_cast<double>(toxic) / static_cast<double>(toxicity.size());
}

// name, value
std::vector<std::pair<std::string, double>> Quantiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {{"mean", eval::Mean(values)},
          {"min", values.front()},
          {"p25", QuantileOfSorted(values, 0.25)},
          {"median", QuantileOfSorted(values, 0.5)},
          {"p75", QuantileOfSorted(values, 0.75)},
          {"p95", QuantileOfSorted(values, 0.95)},
          {"max", values.back()}};
}

std::string ShortLines(const std::vector<int>& lines) {
  const std::vector<int> shown(
      lines.begin(), lines.begin() + static_cast<int64_t>(std::min(kMostLines, lines.size())));
  return absl::StrCat(lines.size() == 1 ? "line " : "lines ", absl::StrJoin(shown, ", "),
                      lines.size() > kMostLines ? ", ..." : "");
}

class Report {
 public:
  Report(const DescribeOptions& options, const Description& d)
      : options_(options),
        d_(d),
        terminal_(isatty(STDOUT_FILENO) != 0),
        width_(TerminalWidth(STDOUT_FILENO)) {}

  void Print() const {
    std::printf("%s: %zu rows, columns %s\n", PrintableLine(options_.file).c_str(),
                d_.dataset.rows().size(), PrintableLine(absl::StrJoin(d_.columns, ", ")).c_str());
    PrintFaults();
    for (const ColumnReport& report : d_.reports) PrintLengths(report);
    PrintTruncation();
    PrintToxicity();
    PrintExamples();
  }

 private:
  void PrintFaults() const {
    const std::vector<absl::Status>& bad = d_.dataset.skipped();
    std::printf("bad rows, left out here and refused by training: %zu\n", bad.size());
    for (size_t i = 0; i < std::min(kMostLines, bad.size()); ++i)
      std::printf("  %s\n", PrintableLine(bad[i].message()).c_str());
    if (bad.size() > kMostLines) std::printf("  ... (--json has them all)\n");
    for (const ColumnReport& report : d_.reports) {
      std::printf(
          "empty %s: %zu%s\n", PrintableLine(report.name).c_str(), report.empty.size(),
          report.empty.empty() ? "" : absl::StrCat(" (", ShortLines(report.empty), ")").c_str());
    }
    std::printf("rows that repeat an earlier %s: %zu\n", PrintableLine(options_.column).c_str(),
                d_.duplicates.size());
    for (size_t i = 0; i < std::min(kMostLines, d_.duplicates.size()); ++i)
      std::printf("  line %d is as line %d\n", d_.duplicates[i].line, d_.duplicates[i].first_line);
    if (d_.duplicates.size() > kMostLines) std::printf("  ... (--json has them all)\n");
  }

  void PrintHistogram(const std::string& title, const std::vector<double>& values,
                      const std::vector<HistogramBin>& bins) const {
    std::vector<std::string> parts;
    for (const auto& [name, value] : Quantiles(values))
      parts.push_back(absl::StrCat(name, " ", ShortNumber(value)));
    std::printf("\n%s\n%s%s", PrintableLine(title).c_str(),
                Wrap(absl::StrJoin(parts, ", "), width_, "  ").c_str(),
                DrawHistogram(bins, width_, terminal_).c_str());
  }

  void PrintLengths(const ColumnReport& report) const {
    PrintHistogram(absl::StrCat(report.name, ": characters"), report.characters,
                   LengthBins(report.characters));
    if (!report.tokens.empty())
      PrintHistogram(absl::StrCat(report.name, ": tokens"), report.tokens,
                     LengthBins(report.tokens));
  }

  void PrintTruncation() const {
    if (d_.prompt_tokens.empty()) {
      std::printf("\ntokens: left out (--model names a model folder)\n");
      return;
    }
    PrintHistogram("prompt with template: tokens", d_.prompt_tokens, LengthBins(d_.prompt_tokens));
    const size_t cut = Truncated(options_, d_);
    std::printf("  truncated at %d tokens: %zu of %zu (%.2f %%)\n", options_.max_source_tokens, cut,
                d_.prompt_tokens.size(),
                100 * static_cast<double>(cut) / static_cast<double>(d_.prompt_tokens.size()));
  }

  void PrintToxicity() const {
    if (d_.judge.empty()) {
      std::printf("\ntoxicity: left out (--dir names a cluster, --reward-model a classifier)\n");
      return;
    }
    for (const ColumnReport& report : d_.reports) {
      PrintHistogram(absl::StrCat(report.name, ": toxicity of ", report.toxicity.size(),
                                  " rows by ", d_.judge),
                     report.toxicity, ShareBins(report.toxicity));
      std::printf("  above 0.5: %.2f %%\n", 100 * ToxicShare(report.toxicity));
    }
  }

  void PrintExamples() const {
    const auto count = std::min(d_.dataset.rows().size(), static_cast<size_t>(options_.examples));
    for (size_t i = 0; i < count; ++i) {
      const data::Row& row = d_.dataset.rows()[i];
      std::printf("\nexample, line %d\n", row.line);
      for (size_t c = 0; c < d_.reports.size(); ++c) {
        std::string text = row.values[c];
        if (text.size() > kMostCharacters) {
          size_t end = kMostCharacters;
          while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole characters
          text = absl::StrCat(text.substr(0, end), " ...");
        }
        std::printf("  %s:\n%s", PrintableLine(d_.reports[c].name).c_str(),
                    Wrap(text, width_, "    ").c_str());
      }
    }
  }

  const DescribeOptions& options_;
  const Description& d_;
  const bool terminal_;
  const int width_;
};

Json Numbers(const std::vector<double>& values, const std::vector<HistogramBin>& bins) {
  if (values.empty()) return nullptr;
  Json json = Json::object();
  for (const auto& [name, value] : Quantiles(values)) json[name] = value;
  Json list = Json::array();
  for (const HistogramBin& bin : bins)
    list.push_back(
        {{"from", bin.begin}, {"to", bin.open ? Json() : Json(bin.end)}, {"count", bin.count}});
  json["histogram"] = list;
  return json;
}

Json ToJson(const DescribeOptions& options, const Description& d) {
  Json bad = Json::array();
  for (const absl::Status& status : d.dataset.skipped())
    bad.push_back(std::string(status.message()));
  Json duplicates = Json::array();
  for (const data::Duplicate& duplicate : d.duplicates)
    duplicates.push_back({{"line", duplicate.line}, {"first_line", duplicate.first_line}});
  Json columns = Json::object();
  for (const ColumnReport& r : d.reports) {
    Json column = {{"empty", r.empty},
                   {"characters", Numbers(r.characters, LengthBins(r.characters))},
                   {"tokens", Numbers(r.tokens, LengthBins(r.tokens))},
                   {"toxicity", Numbers(r.toxicity, ShareBins(r.toxicity))}};
    if (!r.toxicity.empty()) {
      column["toxic_share"] = ToxicShare(r.toxicity);
      column["scored_rows"] = r.toxicity.size();
    }
    columns[r.name] = column;
  }
  Json json = {{"path", options.file},
               {"rows", d.dataset.rows().size()},
               {"columns", d.columns},
               {"bad_rows", bad},
               {"duplicates", duplicates},
               {"described", columns},
               {"prompt_tokens", Numbers(d.prompt_tokens, LengthBins(d.prompt_tokens))},
               {"max_source_tokens", options.max_source_tokens},
               {"truncated", d.prompt_tokens.empty() ? Json() : Json(Truncated(options, d))},
               {"judge", d.judge.empty() ? Json() : Json(d.judge)}};
  Json examples = Json::array();
  for (size_t i = 0; i < std::min(d.dataset.rows().size(), static_cast<size_t>(options.examples));
       ++i) {
    Json example = {{"line", d.dataset.rows()[i].line}};
    for (size_t c = 0; c < d.reports.size(); ++c)
      example[d.reports[c].name] = d.dataset.rows()[i].values[c];
    examples.push_back(example);
  }
  json["examples"] = examples;
  return json;
}

absl::StatusOr<int> Describe(const DescribeOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const data::Dataset all,
                          data::ReadDataset(options.file, {.skip_bad_rows = true}));
  MELLOW_RETURN_IF_ERROR(CheckHasRows(options.file, all));
  MELLOW_ASSIGN_OR_RETURN(data::Dataset dataset, ReadColumns(options, all));
  MELLOW_RETURN_IF_ERROR(CheckHasRows(options.file, dataset));
  Description d = {.dataset = std::move(dataset), .columns = all.columns()};
  for (size_t c = 0; c < d.dataset.columns().size(); ++c)
    d.reports.push_back({d.dataset.columns()[c], data::EmptyRows(d.dataset, c),
                         data::CharacterLengths(d.dataset, c)});
  d.duplicates = data::DuplicateRows(d.dataset, 0);
  MELLOW_RETURN_IF_ERROR(CountTokens(options, &d));
  MELLOW_RETURN_IF_ERROR(ScoreRows(options, &d));
  if (options.json) {
    std::printf("%s\n", Dump(ToJson(options, d)).c_str());
  } else {
    Report(options, d).Print();
  }
  return 0;
}

}  // namespace

void AddDataCommands(CLI::App* app, Action* chosen) {
  CLI::App* data = app->add_subcommand("data", "Look at data sets");
  data->require_subcommand(1);
  auto o = std::make_shared<DescribeOptions>();
  CLI::App* sub = data->add_subcommand(
      "describe", "Counts, lengths, truncation, toxicity, bad and duplicate rows of a data set");
  sub->add_option("FILE", o->file, "JSON Lines (.jsonl) or CSV (.csv)")->required();
  sub->add_option("--column", o->column, "Of the dialogues")->capture_default_str();
  sub->add_option("--summary-column", o->summary_column,
                  "Of the summaries [summary, where there is one]");
  sub->add_option("--model", o->model, "Model folder whose tokenizer counts tokens");
  sub->add_option("--prompt-template", o->prompt_template, "With the column in braces")
      ->default_str("the notebook's");
  sub->add_option("--max-source-tokens", o->max_source_tokens, "Where prompts are truncated")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  sub->add_option("--dir", o->dir, "Cluster whose reward service scores the texts");
  sub->add_option("--reward-model", o->reward_model,
                  "Classifier folder that scores them in this process instead");
  sub->add_option("--score-rows", o->score_rows,
                  "Rows to score, drawn by a fixed seed; 0: all of them")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--threads", o->local.threads, "CPU threads of --reward-model; 0: all cores")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  sub->add_option("--examples", o->examples, "First rows to show")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_flag("--json", o->json, "One JSON object, every line number in it");
  sub->footer(
      "Ends with 0 also when rows are bad: they are counted and named.\n"
      "Example:\n  mellow data describe deploy/runs/mini/train.jsonl --model "
      "deploy/models/mini-summarizer --reward-model deploy/models/mini-toxicity");
  sub->callback([=] { *chosen = [=] { return Describe(*o); }; });
}

}  // namespace mellow::cli
