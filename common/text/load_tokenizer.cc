#include "common/text/load_tokenizer.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/text/files/convert.h"
#include "common/text/files/tokenizer_config.h"
#include "common/text/files/tokenizer_json.h"
#include "common/text/pipeline_tokenizer.h"

namespace mellow::text {
namespace {

// What may decide an id; nn::HashModelFolder has the same list.
constexpr const char* kFiles[] = {
    "spiece.model",          "vocab.json",        "merges.txt",
    "tokenizer.json",        "added_tokens.json", "special_tokens_map.json",
    "tokenizer_config.json", "config.json"};

// What the files alone say; nullopt: nothing.
std::optional<TokenizerClass> ClassOfFiles(const FileMap& files) {
  if (files.contains("spiece.model")) return TokenizerClass::kT5;
  if (files.contains("vocab.json")) return TokenizerClass::kRoberta;
  if (files.contains("tokenizer.json")) return TokenizerClass::kAnyJson;
  return std::nullopt;
}

// Vocabularies of tokenizers that are not implemented.
struct OtherFile {
  const char* name;
  const char* kind;
};
constexpr OtherFile kOtherFiles[] = {
    {"vocab.txt", "WordPiece, as BERT, DistilBERT and ELECTRA have it"},
    {"tokenizer.model", "SentencePiece, as Llama and Gemma have it"},
    {"sentencepiece.bpe.model", "SentencePiece, as XLM-RoBERTa and mBART have it"},
    {"spm.model", "SentencePiece, as DeBERTa has it"}};

absl::Status Missing(const std::string& folder, absl::string_view what) {
  return absl::NotFoundError(absl::StrCat(folder, ": no tokenizer: ", what));
}

// The pipeline that is no tokenizer.json's.
absl::StatusOr<Pipeline> Convert(const FileMap& files, const std::string& folder,
                                 const TokenizerConfig& config, TokenizerClass kind,
                                 bool add_prefix_space) {
  if (kind == TokenizerClass::kT5) {
    const auto spiece = files.find("spiece.model");
    if (spiece == files.end()) return Missing(folder, "neither tokenizer.json nor spiece.model");
    absl::StatusOr<Pipeline> pipeline =
        ConvertSentencePiece(spiece->second, config, add_prefix_space);
    if (!pipeline.ok()) return Annotate(pipeline.status(), folder + "/spiece.model");
    return pipeline;
  }
  const auto vocab = files.find("vocab.json"), merges = files.find("merges.txt");
  if (kind == TokenizerClass::kAnyJson) return Missing(folder, "tokenizer.json");
  if (vocab == files.end() || merges == files.end()) {
    return Missing(folder, vocab == files.end()
                               ? "neither tokenizer.json nor vocab.json and merges.txt"
                               : "vocab.json without merges.txt");
  }
  return ConvertVocabAndMerges(vocab->second, folder + "/vocab.json", merges->second,
                               folder + "/merges.txt", config);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const FileMap& files,
                                                         const std::string& folder) {
  // First of all: a folder of another kind is told by its class, not by the first part of it that
  // is unknown.
  MELLOW_ASSIGN_OR_RETURN(const std::optional<TokenizerClass> by_name,
                          ReadTokenizerClass(files, folder));
  std::optional<Pipeline> json;
  if (const auto file = files.find("tokenizer.json"); file != files.end()) {
    MELLOW_ASSIGN_OR_RETURN(json, ParseTokenizerJson(file->second, folder + "/tokenizer.json"));
  }
  const std::optional<TokenizerClass> by_files = ClassOfFiles(files);
  if (!by_files.has_value()) {
    return Missing(folder, "neither tokenizer.json nor spiece.model nor vocab.json and merges.txt");
  }
  MELLOW_ASSIGN_OR_RETURN(const TokenizerConfig config,
                          ReadTokenizerConfig(files, folder, json.has_value() ? &*json : nullptr));
  const TokenizerClass kind = by_name.value_or(*by_files);

  // Where T5's add_prefix_space is set at all, transformers passes over tokenizer.json and converts
  // spiece.model anew, with a prefix whatever was set.
  const bool again = json.has_value() && kind == TokenizerClass::kT5 &&
                     config.add_prefix_space.has_value() && files.contains("spiece.model");
  const bool converted = again || !json.has_value();
  Pipeline pipeline;
  if (converted) {
    const bool add_prefix_space = again || config.add_prefix_space.value_or(true);
    MELLOW_ASSIGN_OR_RETURN(pipeline, Convert(files, folder, config, kind, add_prefix_space));
    if (json.has_value()) pipeline.truncate_left = json->truncate_left;
  } else {
    pipeline = *std::move(json);
    // RoBERTa's class has the last word about the prefix, where there is no other step.
    std::vector<PreTokenizer::Step>& steps = pipeline.pre_tokenizer.steps();
    if (kind == TokenizerClass::kRoberta && steps.size() == 1 &&
        std::holds_alternative<ByteLevelSplit>(steps[0])) {
      std::get<ByteLevelSplit>(steps[0]).add_prefix_space = config.add_prefix_space.value_or(false);
    }
  }
  const absl::Status added = AddFolderTokens(config, kind, converted, &pipeline);
  if (!added.ok()) return Annotate(added, folder);
  pipeline.truncate_left = config.truncate_left.value_or(pipeline.truncate_left);
  pipeline.split_special_tokens = config.split_special_tokens;
  pipeline.clean_up_spaces = config.clean_up_spaces;
  pipeline.model_max_length = config.model_max_length;
  pipeline.model_vocab_size = config.model_vocab_size;
  pipeline.warnings = config.warnings;
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakePipelineTokenizer(std::move(pipeline));
  if (!tokenizer.ok()) return Annotate(tokenizer.status(), folder);
  return tokenizer;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder) {
  FileMap files;
  for (const char* name : kFiles) {
    absl::StatusOr<std::string> file = ReadFile(absl::StrCat(folder, "/", name));
    if (absl::IsNotFound(file.status())) continue;
    MELLOW_RETURN_IF_ERROR(file.status());
    files[name] = *std::move(file);
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeTokenizer(files, folder);
  if (!absl::IsNotFound(tokenizer.status())) return tokenizer;
  std::string what(tokenizer.status().message());
  for (const OtherFile& other : kOtherFiles) {
    std::error_code ignored;
    if (std::filesystem::exists(absl::StrCat(folder, "/", other.name), ignored))
      absl::StrAppend(&what, "; ", other.name, " (", other.kind, ") is not read");
  }
  return absl::NotFoundError(what);
}

}  // namespace mellow::text
