// mellow tokenize, detokenize and rouge: what needs no model weights.

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/eval/text/rouge.h"
#include "common/eval/text/rouge_aggregate.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/json_lines.h"
#include "services/wire/models.h"

namespace mellow::cli {
namespace {

struct TextOptions {
  std::string model;
  bool keep_special = false;
  bool stemmer = false;
  bool aggregate = false;
  bool strict = false;
  int resamples = 10000;
  uint64_t seed = 0;
};

// Answers each line alone.
int AnswerLines(const TextOptions& options,
                const std::function<absl::StatusOr<json::Value>(const json::Value&)>& answer) {
  const LineCounts counts = AnswerInBatches(
      std::cin, std::cout, 1,
      [&](const std::vector<json::Value>& lines) -> absl::StatusOr<std::vector<json::Value>> {
        MELLOW_ASSIGN_OR_RETURN(json::Value one, answer(lines[0]));
        return std::vector<json::Value>{std::move(one)};
      });
  return FilterExitCode(counts, options.strict);
}

absl::StatusOr<int> Tokenize(const TextOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model));
  return AnswerLines(options, [&](const json::Value& line) -> absl::StatusOr<json::Value> {
    MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"text", "text_pair"}));
    MELLOW_ASSIGN_OR_RETURN(const std::string text, TextField(line, "text"));
    MELLOW_ASSIGN_OR_RETURN(const std::string pair, TextField(line, "text_pair", ""));
    MELLOW_ASSIGN_OR_RETURN(
        const std::vector<int32_t> ids,
        pair.empty() ? tokenizer->Encode(text) : tokenizer->EncodePair(text, pair));
    return json::Value{{"ids", ids}};
  });
}

absl::StatusOr<int> Detokenize(const TextOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model));
  return AnswerLines(options, [&](const json::Value& line) -> absl::StatusOr<json::Value> {
    MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"ids"}));
    MELLOW_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, IdsField(line, "ids"));
    MELLOW_ASSIGN_OR_RETURN(const std::string text,
                            tokenizer->Decode(ids, /*skip_special_tokens=*/!options.keep_special));
    return json::Value{{"text", text}};
  });
}

json::Value ToJson(const eval::RougeScore& score) {
  return {{"precision", score.precision}, {"recall", score.recall}, {"fmeasure", score.fmeasure}};
}

absl::StatusOr<std::vector<std::string>> ReferencesField(const json::Value& line) {
  std::vector<std::string> references;
  if (line.Get("references", &references)) return references;
  return absl::InvalidArgumentError("references: a list of strings is needed");
}

absl::StatusOr<eval::RougeScores> RougeOfLine(const json::Value& line, bool stemmer) {
  MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"prediction", "references"}));
  MELLOW_ASSIGN_OR_RETURN(const std::string prediction, TextField(line, "prediction"));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> references, ReferencesField(line));
  return eval::ScoreRouge(prediction, references, stemmer);
}

json::Value ToJson(const stats::MeanInterval& interval) {
  return {{"mean", interval.mean}, {"lower", interval.lower}, {"upper", interval.upper}};
}

json::Value ToJson(const eval::RougeInterval& interval) {
  return {{"precision", ToJson(interval.precision)},
          {"recall", ToJson(interval.recall)},
          {"fmeasure", ToJson(interval.fmeasure)}};
}

// `Scores`: RougeScores or RougeAggregate.
template <typename Scores>
json::Value RougeJson(const Scores& scores) {
  return {{"rouge1", ToJson(scores.rouge1)},
          {"rouge2", ToJson(scores.rouge2)},
          {"rougeL", ToJson(scores.rouge_l)},
          {"rougeLsum", ToJson(scores.rouge_lsum)}};
}

// A mean over some of the lines would be a wrong number, so one bad line ends it.
absl::StatusOr<int> AggregatedRouge(const TextOptions& options) {
  std::vector<eval::RougeScores> rows;
  int number = 0;
  for (std::string text; std::getline(std::cin, text);) {
    const std::string place = absl::StrCat("line ", ++number);
    const absl::StatusOr<json::Value> line = ParseObject(text);
    if (!line.ok()) return Annotate(line.status(), place);
    absl::StatusOr<eval::RougeScores> scores = RougeOfLine(*line, options.stemmer);
    if (!scores.ok()) return Annotate(scores.status(), place);
    rows.push_back(*scores);
  }
  if (rows.empty()) return absl::InvalidArgumentError("standard input: no line to aggregate");
  MELLOW_ASSIGN_OR_RETURN(
      const eval::RougeAggregate aggregate,
      eval::AggregateRouge(rows, {.resamples = options.resamples, .seed = options.seed}));
  json::Value object = {{"rows", rows.size()}};
  const json::Value means = RougeJson(aggregate);
  for (const auto& [name, value] : means.members()) object.Add(name, value);
  std::cout << json::Write(object) << std::endl;
  return 0;
}

absl::StatusOr<int> Rouge(const TextOptions& options) {
  if (options.aggregate) return AggregatedRouge(options);
  return AnswerLines(options, [&](const json::Value& line) -> absl::StatusOr<json::Value> {
    MELLOW_ASSIGN_OR_RETURN(const eval::RougeScores scores, RougeOfLine(line, options.stemmer));
    return RougeJson(scores);
  });
}

}  // namespace

void AddTextCommands(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<TextOptions>();
  CLI::App* tokenize = app->add_subcommand(
      "tokenize",
      "Texts to token ids: JSON lines {\"text\": ..., \"text_pair\"?: ...} on standard input");
  tokenize->add_option("MODEL", options->model, "Hugging Face model folder")
      ->transform(wire::ModelFolder())
      ->required();
  AddStrictFlag(tokenize, &options->strict);
  tokenize->footer(
      "Example:\n  echo '{\"text\": \"Good morning.\"}' | mellow tokenize "
      "deploy/models/mini-summarizer");
  tokenize->callback([=] { *chosen = [=] { return Tokenize(*options); }; });

  CLI::App* detokenize = app->add_subcommand(
      "detokenize", "Token ids to texts: JSON lines {\"ids\": [...]} on standard input");
  detokenize->add_option("MODEL", options->model, "Hugging Face model folder")
      ->transform(wire::ModelFolder())
      ->required();
  detokenize->add_flag("--keep-special", options->keep_special, "Keep special tokens such as </s>");
  AddStrictFlag(detokenize, &options->strict);
  detokenize->footer(
      "Example:\n  echo '{\"ids\": [8, 4, 1]}' | mellow detokenize deploy/models/mini-summarizer "
      "--keep-special");
  detokenize->callback([=] { *chosen = [=] { return Detokenize(*options); }; });

  CLI::App* rouge = app->add_subcommand("rouge",
                                        "ROUGE-1, -2, -L and -Lsum: JSON lines {\"prediction\": "
                                        "..., \"references\": [...]} on standard input");
  rouge->add_flag("--stemmer", options->stemmer, "Compare Porter stems instead of words");
  rouge->add_flag("--aggregate", options->aggregate,
                  "One object with the means over all lines and their 95 % bootstrap intervals");
  rouge->add_option("--resamples", options->resamples, "Resamples of the bootstrap")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  rouge->add_option("--seed", options->seed, "Seed of the bootstrap")->capture_default_str();
  AddStrictFlag(rouge, &options->strict);
  rouge->footer(
      "Examples:\n  echo '{\"prediction\": \"Tom is late.\", \"references\": [\"Tom comes "
      "late.\"]}' | mellow rouge\n  mellow rouge --stemmer --aggregate < predictions.jsonl");
  rouge->callback([=] { *chosen = [=] { return Rouge(*options); }; });
}

}  // namespace mellow::cli
