// mellow summarize and mellow score: what a cluster is for.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/cli/cluster/adapter_json.h"
#include "services/cli/cluster/cluster_calls.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/json_lines.h"
#include "services/cli/terminal/printable.h"

namespace mellow::cli {
namespace {

// Lines in flight: enough to fill the servers' batches.
constexpr int kWorkers = 16;

struct UseOptions {
  std::string dir = ".mellow";
  std::string adapter = "champion";
  std::optional<int> max_new_tokens;
  bool text = false;
  bool strict = false;
  double patience_seconds = 120;
};

std::string ReadAll(std::istream& in) {
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

absl::StatusOr<int> Summarize(const UseOptions& options) {
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_RETURN_IF_ERROR(FindCluster(folder).status());
  ClusterCalls calls(folder, absl::Seconds(options.patience_seconds));
  MELLOW_ASSIGN_OR_RETURN(const std::optional<int64_t> version, calls.FindAdapter(options.adapter));
  const auto summarize = [&](std::string dialogue) {
    policy::v1::SummarizeRequest request;
    request.set_dialogue(std::move(dialogue));
    if (version.has_value()) request.set_adapter_version(*version);
    if (options.max_new_tokens.has_value()) request.set_max_new_tokens(*options.max_new_tokens);
    return calls.Summarize(request);
  };
  if (options.text) {
    MELLOW_ASSIGN_OR_RETURN(const policy::v1::SummarizeResponse response,
                            summarize(ReadAll(std::cin)));
    if (response.truncated())
      std::fprintf(
          stderr,
          "mellow: the end of the dialogue was left out: the prompt has %d tokens, %d were "
          "used\n",
          response.uncut_prompt_tokens(), response.prompt_tokens());
    // Into a file or a pipe goes what the model wrote.
    const bool terminal = isatty(STDOUT_FILENO) != 0;
    std::printf("%s\n",
                terminal ? Printable(response.summary()).c_str() : response.summary().c_str());
    return 0;
  }
  const LineCounts counts = AnswerInParallel(
      std::cin, std::cout, kWorkers, [&](const json::Value& line) -> absl::StatusOr<json::Value> {
        MELLOW_ASSIGN_OR_RETURN(std::string dialogue, TextField(line, "dialogue"));
        MELLOW_ASSIGN_OR_RETURN(const policy::v1::SummarizeResponse response,
                                summarize(std::move(dialogue)));
        json::Value answer = {{"summary", response.summary()},
                              {"adapter", AdapterJson(response.adapter())}};
        if (response.truncated()) {
          answer.Add("truncated", true);
          answer.Add("prompt_tokens", response.prompt_tokens());
          answer.Add("uncut_prompt_tokens", response.uncut_prompt_tokens());
        }
        return answer;
      });
  // No line has shown whether a server is there.
  if (counts.lines == 0) MELLOW_RETURN_IF_ERROR(calls.PolicyInfo().status());
  return FilterExitCode(counts, options.strict);
}

absl::StatusOr<int> Score(const UseOptions& options) {
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_RETURN_IF_ERROR(FindCluster(folder).status());
  ClusterCalls calls(folder, absl::Seconds(options.patience_seconds));
  const LineCounts counts = AnswerInParallel(
      std::cin, std::cout, kWorkers, [&](const json::Value& line) -> absl::StatusOr<json::Value> {
        MELLOW_ASSIGN_OR_RETURN(std::string text, TextField(line, "text"));
        reward::v1::ScoreRequest request;
        request.add_texts(std::move(text));
        MELLOW_ASSIGN_OR_RETURN(std::string pair, TextField(line, "text_pair", ""));
        if (!pair.empty()) request.add_text_pairs(std::move(pair));
        MELLOW_ASSIGN_OR_RETURN(const reward::v1::ScoreResponse response, calls.Score(request));
        if (response.scores_size() != 1)
          return absl::InternalError("the reward server sent no score");
        const reward::v1::TextScore& score = response.scores(0);
        return json::Value{
            {"toxicity", score.toxicity()},
            {"label", score.label()},
            {"labels",
             std::vector<std::string>(response.labels().begin(), response.labels().end())},
            {"probabilities",
             std::vector<float>(score.probabilities().begin(), score.probabilities().end())},
            {"logits", std::vector<float>(score.logits().begin(), score.logits().end())},
            {"truncated", score.truncated()}};
      });
  if (counts.lines == 0) MELLOW_RETURN_IF_ERROR(calls.RewardInfo().status());
  return FilterExitCode(counts, options.strict);
}

}  // namespace

void AddUseCommands(CLI::App* app, Action* chosen) {
  const auto add_common = [](CLI::App* sub, UseOptions* options) {
    sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
    sub->add_option("--patience", options->patience_seconds,
                    "Seconds to try again while no server takes a line")
        ->capture_default_str();
    AddStrictFlag(sub, &options->strict);
  };
  auto summarize_options = std::make_shared<UseOptions>();
  CLI::App* summarize = app->add_subcommand(
      "summarize", "Summarize dialogues: JSON lines {\"dialogue\": ...} on standard input");
  add_common(summarize, summarize_options.get());
  summarize
      ->add_option("--adapter", summarize_options->adapter,
                   "Who writes; champion is the base model until one is promoted")
      ->type_name("champion|newest|base|VERSION|RUN@STEP")
      ->capture_default_str();
  summarize->add_option("--max-new-tokens", summarize_options->max_new_tokens,
                        "Longest summary [the server's default]");
  summarize->add_flag(
      "--text", summarize_options->text,
      "Standard input is one dialogue as plain text, the answer its summary as plain text");
  summarize->footer(
      "Examples:\n  mellow summarize --text < dialogue.txt\n"
      "  echo '{\"dialogue\": \"Anna: Is the car ready?\\nTom: On Friday.\"}' | mellow summarize "
      "--adapter base\n"
      "  mellow summarize --adapter newest@1 --text < dialogue.txt");
  summarize->callback([=] { *chosen = [=] { return Summarize(*summarize_options); }; });

  auto score_options = std::make_shared<UseOptions>();
  CLI::App* score = app->add_subcommand(
      "score",
      "Score texts for toxicity: JSON lines {\"text\": ...}, or with it {\"text_pair\": ...}, on "
      "standard input");
  add_common(score, score_options.get());
  score->footer("Example:\n  echo '{\"text\": \"You are a fool.\"}' | mellow score");
  score->callback([=] { *chosen = [=] { return Score(*score_options); }; });
}

}  // namespace mellow::cli
