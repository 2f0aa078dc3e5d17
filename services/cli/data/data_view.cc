#include "services/cli/data/data_view.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/plural.h"
#include "common/base/quantile.h"
#include "common/stats/mean.h"
#include "services/cli/terminal/histogram.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr size_t kMostLines = 10;
constexpr size_t kMostCharacters = 600;  // of an example

double ToxicShare(const std::vector<double>& toxicity) {
  const auto toxic =
      std::count_if(toxicity.begin(), toxicity.end(), [](double p) { return p > 0.5; });
  return static_cast<double>(toxic) / static_cast<double>(toxicity.size());
}

// name, value
std::vector<std::pair<std::string, double>> Quantiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {{"mean", stats::Mean(values)},
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
    Say(absl::StrCat(options_.file, ": ",
                     Plural(static_cast<int64_t>(d_.dataset.rows().size()), "row"), ", columns ",
                     absl::StrJoin(d_.columns, ", "), "; read as ", d_.dataset.format()));
    PrintFaults();
    for (const ColumnReport& report : d_.reports) PrintLengths(report);
    PrintTruncation();
    PrintToxicity();
    PrintExamples();
  }

 private:
  void Say(const std::string& text, absl::string_view indent = "") const {
    std::fputs(Wrap(text, width_, indent).c_str(), stdout);
  }

  void PrintFaults() const {
    const std::vector<absl::Status>& bad = d_.dataset.skipped();
    std::printf("bad rows, left out here and refused by training: %zu\n", bad.size());
    for (size_t i = 0; i < std::min(kMostLines, bad.size()); ++i)
      Say(std::string(bad[i].message()), "  ");
    if (bad.size() > kMostLines) std::printf("  ... (--json has them all)\n");
    for (const ColumnReport& report : d_.reports) {
      Say(absl::StrCat("empty ", report.name, ": ", report.empty.size(),
                       report.empty.empty() ? "" : " (" + ShortLines(report.empty) + ")"));
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
    std::printf("\n%s%s%s", Wrap(title, width_, "").c_str(),
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
    if (options_.max_source_tokens == 0) return;
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
      PrintHistogram(absl::StrCat(report.name, ": toxicity of ",
                                  Plural(static_cast<int64_t>(report.toxicity.size()), "row"),
                                  " by ", d_.judge, ", label ", d_.toxic_label),
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

json::Value Numbers(const std::vector<double>& values, const std::vector<HistogramBin>& bins) {
  if (values.empty()) return nullptr;
  json::Value object = json::Value::MakeObject();
  for (const auto& [name, value] : Quantiles(values)) object.Add(name, value);
  json::Value list = json::Value::MakeArray();
  for (const HistogramBin& bin : bins)
    list.Append({{"from", bin.begin},
                 {"to", bin.open ? json::Value() : json::Value(bin.end)},
                 {"count", bin.count}});
  object.Add("histogram", std::move(list));
  return object;
}

}  // namespace

void PrintDescription(const DescribeOptions& options, const Description& description) {
  Report(options, description).Print();
}

json::Value DescriptionJson(const DescribeOptions& options, const Description& d) {
  json::Value bad = json::Value::MakeArray();
  for (const absl::Status& status : d.dataset.skipped()) bad.Append(status.message());
  json::Value duplicates = json::Value::MakeArray();
  for (const data::Duplicate& duplicate : d.duplicates)
    duplicates.Append({{"line", duplicate.line}, {"first_line", duplicate.first_line}});
  json::Value columns = json::Value::MakeObject();
  for (const ColumnReport& r : d.reports) {
    json::Value column = {{"empty", r.empty},
                          {"characters", Numbers(r.characters, LengthBins(r.characters))},
                          {"tokens", Numbers(r.tokens, LengthBins(r.tokens))},
                          {"toxicity", Numbers(r.toxicity, ShareBins(r.toxicity))}};
    if (!r.toxicity.empty()) {
      column.Add("toxic_share", ToxicShare(r.toxicity));
      column.Add("scored_rows", r.toxicity.size());
    }
    columns.Set(r.name, std::move(column));
  }
  json::Value object = {
      {"path", options.file},
      {"rows", d.dataset.rows().size()},
      {"columns", d.columns},
      {"format", d.dataset.format()},
      {"bad_rows", bad},
      {"duplicates", duplicates},
      {"described", columns},
      {"prompt_tokens", Numbers(d.prompt_tokens, LengthBins(d.prompt_tokens))},
      {"max_source_tokens",
       options.max_source_tokens > 0 ? json::Value(options.max_source_tokens) : json::Value()},
      {"truncated", d.prompt_tokens.empty() ? json::Value() : json::Value(Truncated(options, d))},
      {"judge", d.judge.empty() ? json::Value() : json::Value(d.judge)},
      {"toxic_label", d.judge.empty() ? json::Value() : json::Value(d.toxic_label)}};
  json::Value examples = json::Value::MakeArray();
  for (size_t i = 0; i < std::min(d.dataset.rows().size(), static_cast<size_t>(options.examples));
       ++i) {
    json::Value example = {{"line", d.dataset.rows()[i].line}};
    for (size_t c = 0; c < d.reports.size(); ++c)
      example.Set(d.reports[c].name, d.dataset.rows()[i].values[c]);
    examples.Append(std::move(example));
  }
  object.Add("examples", std::move(examples));
  return object;
}

}  // namespace mellow::cli
