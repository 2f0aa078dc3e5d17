// mellow data describe: what is in a data set, before anything is trained on it.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "common/base/status.h"
#include "services/cli/command.h"
#include "services/cli/data_description.h"
#include "services/cli/data_view.h"
#include "services/cli/json_lines.h"
#include "services/wire/models.h"

namespace mellow::cli {
namespace {

struct DescribeCommand {
  DescribeOptions what;
  bool json = false;
};

absl::StatusOr<int> Describe(const DescribeCommand& command) {
  MELLOW_ASSIGN_OR_RETURN(const Description description, DescribeData(command.what));
  if (command.json) {
    std::printf("%s\n", Dump(DescriptionJson(command.what, description)).c_str());
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
  sub->add_option("FILE", o->what.file, "JSON Lines (.jsonl) or CSV (.csv)")->required();
  sub->add_option("--column", o->what.column, "Of the dialogues")->capture_default_str();
  sub->add_option("--summary-column", o->what.summary_column,
                  "Of the summaries [summary, where there is one]");
  sub->add_option("--model", o->what.model, "Model folder whose tokenizer counts tokens")
      ->transform(wire::ModelFolder());
  sub->add_option("--prompt-template", o->what.prompt_template, "With the column in braces")
      ->default_str("the notebook's");
  sub->add_option("--max-source-tokens", o->what.max_source_tokens, "Where prompts are truncated")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  sub->add_option("--dir", o->what.dir, "Cluster whose reward service scores the texts");
  sub->add_option("--reward-model", o->what.reward_model,
                  "Classifier folder that scores them in this process instead")
      ->transform(wire::ModelFolder());
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
      "deploy/models/mini-summarizer --reward-model deploy/models/mini-toxicity");
  sub->callback([=] { *chosen = [=] { return Describe(*o); }; });
}

}  // namespace mellow::cli
