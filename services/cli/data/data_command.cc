// mellow data describe: what is in a data set, before anything is trained on it.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/data/data_description.h"
#include "services/cli/data/data_view.h"
#include "services/cli/files/run_data.h"
#include "services/cli/files/run_file.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/histogram.h"
#include "services/cli/terminal/json_lines.h"
#include "services/wire/models.h"

namespace mellow::cli {
namespace {

struct DescribeCommand {
  DescribeOptions what;
  std::string run_file;
  std::vector<std::string> overrides;
  bool json = false;
};

absl::StatusOr<int> DescribeRun(const DescribeCommand& command) {
  MELLOW_ASSIGN_OR_RETURN(const auto spec, LoadRunFile(command.run_file, command.overrides));
  if (spec.has_sft())
    return absl::InvalidArgumentError(
        absl::StrCat(command.run_file, ": a supervised run; --run shows the data of PPO"));
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (!command.what.model.empty()) {
    MELLOW_ASSIGN_OR_RETURN(tokenizer, text::LoadTokenizer(command.what.model));
  }
  const absl::StatusOr<RunData> data = ReadRunData(spec, tokenizer.get());
  if (!data.ok()) return Annotate(data.status(), command.run_file);
  const int width = TerminalWidth(STDOUT_FILENO);
  if (command.json) {
    std::printf("%s\n", json::Write(RunDataJson(*data)).c_str());
  } else {
    std::printf("%s%s%s", RunRowsText(*data, width).c_str(), RunExampleText(*data, width).c_str(),
                RunIdsText(*data, width).c_str());
  }
  return 0;
}

absl::StatusOr<int> Describe(const DescribeCommand& command) {
  if (!command.run_file.empty()) return DescribeRun(command);
  MELLOW_ASSIGN_OR_RETURN(const Description description, DescribeData(command.what));
  if (command.json) {
    std::printf("%s\n", json::Write(DescriptionJson(command.what, description)).c_str());
  } else {
    PrintDescription(command.what, description);
  }
  return 0;
}

}  // namespace

void AddDataCommands(CLI::App* app, Action* chosen) {
  CLI::App* data = app->add_subcommand("data", "Look at data sets");
  data->require_subcommand(1);
  auto o = std::make_shared<DescribeCommand>();
  CLI::App* sub = data->add_subcommand(
      "describe", "Counts, lengths, truncation, toxicity, bad and duplicate rows of a data set");
  CLI::Option_group* input = sub->add_option_group("Input");
  input->require_option(1);
  input->add_option("FILE", o->what.file, "JSON rows (.jsonl, .json) or CSV (.csv, .tsv)");
  CLI::Option* run = input->add_option(
      "--run", o->run_file,
      "Run file instead: the rows that it selects of its data, and its first prompt with the ids "
      "that the tokenizer of --model gives");
  sub->add_option("--set", o->overrides, "FIELD=VALUE of the run file")
      ->allow_extra_args(false)
      ->needs(run);
  sub->add_option("--column", o->what.column, "Column of the dialogues")->capture_default_str();
  sub->add_option("--summary-column", o->what.summary_column,
                  "Column of the summaries [summary, where there is one]");
  sub->add_option("--model", o->what.model, "Model folder whose tokenizer counts tokens")
      ->transform(wire::ModelFolder());
  sub->add_option("--prompt-template", o->what.prompt_template, "With the column in braces")
      ->default_str("the notebook's");
  sub->add_option("--max-source-tokens", o->what.max_source_tokens,
                  "Counts the prompts that are longer; 0: no limit")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--dir", o->what.dir, "Cluster whose reward service scores the texts");
  sub->add_option("--reward-model", o->what.reward_model,
                  "Classifier folder that scores them in this process instead")
      ->transform(wire::ModelFolder());
  sub->add_option("--toxic-label", o->what.toxic_label,
                  "Whose probability is the toxicity [the label with a known name]");
  sub->add_option("--score-rows", o->what.score_rows,
                  "Rows to score, drawn by a fixed seed; 0: all of them")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--threads", o->what.local.threads, "CPU threads of --reward-model; 0: all cores")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  sub->add_option("--examples", o->what.examples, "First rows to show")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_flag("--json", o->json, "One JSON object, every line number in it");
  sub->footer(
      "Ends with 0 also when rows are bad: they are counted and named.\n"
      "Example:\n  mellow data describe deploy/runs/mini/train.jsonl --model "
      "deploy/models/mini-summarizer --reward-model deploy/models/mini-toxicity\n"
      "  mellow data describe --run deploy/runs/mini.json --model deploy/models/mini-summarizer");
  sub->callback([=] { *chosen = [=] { return Describe(*o); }; });
}

}  // namespace mellow::cli
