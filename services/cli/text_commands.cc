// mellow tokenize, detokenize and rouge: what needs no model weights.

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/eval/rouge.h"
#include "common/text/tokenizer.h"
#include "services/cli/command.h"
#include "services/cli/json_lines.h"

namespace mellow::cli {
namespace {

struct TextOptions {
  std::string model;
  bool keep_special = false;
  bool stemmer = false;
};

// Answers each line alone.
int AnswerLines(const std::function<absl::StatusOr<Json>(const Json&)>& answer) {
  AnswerInBatches(std::cin, std::cout, 1,
                  [&](const std::vector<Json>& lines) -> absl::StatusOr<std::vector<Json>> {
                    MELLOW_ASSIGN_OR_RETURN(Json one, answer(lines[0]));
                    return std::vector<Json>{std::move(one)};
                  });
  return 0;
}

absl::StatusOr<int> Tokenize(const TextOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model));
  return AnswerLines([&](const Json& line) -> absl::StatusOr<Json> {
    MELLOW_ASSIGN_OR_RETURN(const std::string text, TextField(line, "text"));
    MELLOW_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->Encode(text));
    return Json{{"ids", ids}};
  });
}

absl::StatusOr<int> Detokenize(const TextOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model));
  return AnswerLines([&](const Json& line) -> absl::StatusOr<Json> {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, IdsField(line, "ids"));
    MELLOW_ASSIGN_OR_RETURN(const std::string text,
                            tokenizer->Decode(ids, /*skip_special_tokens=*/!options.keep_special));
    return Json{{"text", text}};
  });
}

Json ToJson(const eval::RougeScore& score) {
  return {{"precision", score.precision}, {"recall", score.recall}, {"fmeasure", score.fmeasure}};
}

absl::StatusOr<std::vector<std::string>> ReferencesField(const Json& line) {
  const auto field = line.find("references");
  if (field == line.end() || !field->is_array())
    return absl::InvalidArgumentError("references: a list of strings is needed");
  std::vector<std::string> references;
  for (const Json& reference : *field) {
    if (!reference.is_string())
      return absl::InvalidArgumentError("references: a list of strings is needed");
    references.push_back(reference.get<std::string>());
  }
  return references;
}

absl::StatusOr<int> Rouge(const TextOptions& options) {
  return AnswerLines([&](const Json& line) -> absl::StatusOr<Json> {
    MELLOW_ASSIGN_OR_RETURN(const std::string prediction, TextField(line, "prediction"));
    MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> references, ReferencesField(line));
    MELLOW_ASSIGN_OR_RETURN(const eval::RougeScores s,
                            eval::ScoreRouge(prediction, references, options.stemmer));
    return Json{{"rouge1", ToJson(s.rouge1)},
                {"rouge2", ToJson(s.rouge2)},
                {"rougeL", ToJson(s.rouge_l)},
                {"rougeLsum", ToJson(s.rouge_lsum)}};
  });
}

}  // namespace

void AddTextCommands(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<TextOptions>();
  CLI::App* tokenize = app->add_subcommand(
      "tokenize", "Texts to token ids: JSON lines {\"text\": ...} on standard input");
  tokenize->add_option("MODEL", options->model, "Hugging Face model folder")->required();
  tokenize->footer(
      "Example:\n  echo '{\"text\": \"Good morning.\"}' | mellow tokenize "
      "deploy/models/mini-summarizer");
  tokenize->callback([=] { *chosen = [=] { return Tokenize(*options); }; });

  CLI::App* detokenize = app->add_subcommand(
      "detokenize", "Token ids to texts: JSON lines {\"ids\": [...]} on standard input");
  detokenize->add_option("MODEL", options->model, "Hugging Face model folder")->required();
  detokenize->add_flag("--keep-special", options->keep_special, "Keep special tokens such as </s>");
  detokenize->footer(
      "Example:\n  echo '{\"ids\": [8, 4, 1]}' | mellow detokenize deploy/models/mini-summarizer "
      "--keep-special");
  detokenize->callback([=] { *chosen = [=] { return Detokenize(*options); }; });

  CLI::App* rouge = app->add_subcommand("rouge",
                                        "ROUGE-1, -2, -L and -Lsum: JSON lines {\"prediction\": "
                                        "..., \"references\": [...]} on standard input");
  rouge->add_flag("--stemmer", options->stemmer, "Compare Porter stems instead of words");
  rouge->footer(
      "Example:\n  echo '{\"prediction\": \"Tom is late.\", \"references\": [\"Tom comes "
      "late.\"]}' | mellow rouge");
  rouge->callback([=] { *chosen = [=] { return Rouge(*options); }; });
}

}  // namespace mellow::cli
