#include "services/cli/evaluate/evaluation_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/data/needed_columns.h"
#include "common/data/prompt_template.h"
#include "common/data/select.h"
#include "common/data/split.h"

namespace mellow::cli {
namespace {

using evaluation::v1::DataSpec;
using evaluation::v1::EvaluationSpec;

constexpr int kMaxSamples = 64;
constexpr int kDefaultNewTokens = 128;
constexpr int kMostDraws = 1 << 24;

absl::Status Bad(absl::string_view field, const absl::AlphaNum& value, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value.Piece(), ", must be ", wanted));
}

absl::StatusOr<eval::SamplingConfig> SamplingOf(const EvaluationSpec& spec) {
  const policy::v1::SamplingParams& from = spec.sampling();
  if (from.has_length_penalty())
    return absl::InvalidArgumentError("sampling.length_penalty: evaluations have none");
  // An evaluation records what it asks for, and has no place for these.
  for (const auto& [has, name] : std::initializer_list<std::pair<bool, const char*>>{
           {from.has_repetition_penalty(), "repetition_penalty"},
           {from.has_no_repeat_ngram_size(), "no_repeat_ngram_size"},
           {from.has_encoder_no_repeat_ngram_size(), "encoder_no_repeat_ngram_size"},
           {from.has_bad_words_ids(), "bad_words_ids"},
           {from.has_suppress_tokens(), "suppress_tokens"},
           {from.early_stopping() != policy::v1::EARLY_STOPPING_UNSPECIFIED, "early_stopping"},
           {from.has_forced_bos_token_id(), "forced_bos_token_id"},
           {from.has_forced_eos_token_id(), "forced_eos_token_id"}}) {
    if (has)
      return absl::InvalidArgumentError(absl::StrCat(
          "sampling.", name, ": evaluations take it from the model's generation_config.json only"));
  }
  eval::SamplingConfig s;
  if (from.has_do_sample()) s.do_sample = from.do_sample();
  if (from.has_temperature()) s.temperature = from.temperature();
  if (from.has_top_k()) s.top_k = from.top_k();
  if (from.has_top_p()) s.top_p = from.top_p();
  if (from.has_num_beams()) s.num_beams = from.num_beams();
  s.max_new_tokens = from.has_max_new_tokens() ? from.max_new_tokens() : kDefaultNewTokens;
  s.min_new_tokens = from.min_new_tokens();
  s.seed = from.seed();
  if (spec.has_samples()) s.samples = spec.samples();
  if (s.samples < 1 || s.samples > kMaxSamples)
    return Bad("samples", s.samples, absl::StrCat("1 to ", kMaxSamples));
  if (s.samples > 1 && !s.do_sample)
    return Bad("samples", s.samples, "1 without sampling.do_sample: all would be the same");
  if (s.max_new_tokens < 1) return Bad("sampling.max_new_tokens", s.max_new_tokens, "at least 1");
  return s;
}

absl::Status CheckStatistics(const eval::EvaluationConfig& c) {
  const auto count = [](const char* field, int value) {
    return value >= 1 && value <= kMostDraws ? absl::OkStatus()
                                             : Bad(field, value, absl::StrCat("1 to ", kMostDraws));
  };
  const auto share = [](const char* field, double value) {
    return value > 0 && value < 1 ? absl::OkStatus() : Bad(field, value, "between 0 and 1");
  };
  MELLOW_RETURN_IF_ERROR(count("statistics.resamples", c.resamples));
  MELLOW_RETURN_IF_ERROR(count("statistics.permutations", c.permutations));
  MELLOW_RETURN_IF_ERROR(share("statistics.confidence", c.confidence));
  MELLOW_RETURN_IF_ERROR(share("statistics.alpha", c.alpha));
  MELLOW_RETURN_IF_ERROR(share("statistics.power", c.power));
  if (!(c.detectable_change > 0 && c.detectable_change <= 100))
    return Bad("statistics.detectable_change", c.detectable_change, "above 0 and at most 100");
  return absl::OkStatus();
}

std::string DialogueColumn(const DataSpec& data) {
  return data.has_dialogue_column() ? data.dialogue_column() : "dialogue";
}

std::string FilterColumn(const DataSpec& data) {
  return data.has_filter_column() ? data.filter_column() : DialogueColumn(data);
}

data::SplitRule SplitOf(const DataSpec& data) {
  data::SplitRule rule = {
      .train_fraction = data.train_fraction(),
      .column = data.has_split_column() ? data.split_column() : DialogueColumn(data)};
  if (data.has_split_seed()) rule.seed = data.split_seed();
  return rule;
}

std::vector<std::string> ReferenceColumns(const std::string& columns) {
  return absl::StrSplit(columns, ',', absl::SkipWhitespace());
}

absl::StatusOr<std::vector<data::NeededColumn>> NeededColumns(
    const EvaluationSpec& spec, const eval::EvaluationConfig& config) {
  const DataSpec& data = spec.data();
  MELLOW_ASSIGN_OR_RETURN(std::vector<data::NeededColumn> columns,
                          data::TemplateColumns("data.prompt_template", config.prompt_template));
  columns.push_back({DialogueColumn(data), "data.dialogue_column"});
  for (const std::string& column : ReferenceColumns(config.reference_column)) {
    columns.push_back({column, data.has_reference_columns()
                                   ? "data.reference_columns"
                                   : "data.reference_columns (set it to \"\" for no ROUGE)"});
  }
  for (const std::string& column : spec.slice_columns())
    columns.push_back({column, "slice_columns"});
  columns.push_back({FilterColumn(data), "data.filter_column"});
  SplitOf(data).AddNeededColumn(&columns);
  return columns;
}

// The rows that are evaluated.
absl::StatusOr<data::Dataset> SelectRows(const DataSpec& spec, const data::Dataset& all) {
  data::LengthFilter filter = {.column = FilterColumn(spec)};
  if (spec.has_min_chars()) filter.min_chars = spec.min_chars();
  if (spec.has_max_chars()) filter.max_chars = spec.max_chars();
  MELLOW_ASSIGN_OR_RETURN(const data::Dataset filtered, data::FilterByLength(all, filter));
  MELLOW_ASSIGN_OR_RETURN(const data::Split split, data::SplitRows(filtered, SplitOf(spec)));
  if (spec.limit() < 0) return Bad("data.limit", spec.limit(), "at least 0");
  std::vector<data::Row> rows = split.test.rows();
  if (spec.limit() > 0 && static_cast<size_t>(spec.limit()) < rows.size())
    rows.resize(static_cast<size_t>(spec.limit()));
  if (rows.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.path: ", all.path(), ": ",
        all.rows().empty() ? "has no rows"
                           : absl::StrCat("none of ", all.rows().size(),
                                          " rows is left after min_chars, max_chars and "
                                          "train_fraction")));
  }
  return data::Dataset(all.path(), all.columns(), std::move(rows));
}

class PromptMaker {
 public:
  PromptMaker(const EvaluationSpec& spec, const eval::EvaluationConfig& config,
              const text::Tokenizer& tokenizer, const data::Dataset& dataset,
              const data::PromptTemplate& prompt_template, int most_tokens)
      : spec_(spec),
        config_(config),
        tokenizer_(tokenizer),
        dataset_(dataset),
        template_(prompt_template),
        most_tokens_(most_tokens) {}

  absl::StatusOr<EvaluationPrompt> Make(size_t index) const {
    const data::Row& row = dataset_.rows()[index];
    EvaluationPrompt prompt;
    prompt.row.index = static_cast<int64_t>(index);
    prompt.row.line = row.line;
    prompt.row.dialogue = Value(row, DialogueColumn(spec_.data()));
    for (const std::string& column : ReferenceColumns(config_.reference_column))
      prompt.row.references.push_back(Value(row, column));
    for (const std::string& column : spec_.slice_columns())
      prompt.row.columns[column] = Value(row, column);
    absl::StatusOr<text::FittedPrompt> fitted = template_.Encode(row, tokenizer_, most_tokens_);
    if (!fitted.ok())
      return data::BadField(
          "data.path", Annotate(fitted.status(), absl::StrCat(dataset_.path(), ":", row.line)));
    prompt.row.prompt_tokens = fitted->tokens();
    prompt.row.uncut_prompt_tokens = fitted->uncut_tokens;
    prompt.row.truncated = fitted->truncated();
    prompt.source_ids = std::move(fitted->ids);
    MELLOW_ASSIGN_OR_RETURN(prompt.query, tokenizer_.Decode(prompt.source_ids,
                                                            /*skip_special_tokens=*/true));
    MELLOW_ASSIGN_OR_RETURN(prompt.special_query,
                            tokenizer_.Decode(prompt.source_ids, /*skip_special_tokens=*/false));
    return prompt;
  }

 private:
  std::string Value(const data::Row& row, const std::string& column) const {
    return row.values[*dataset_.ColumnIndex(column)];  // it was asked for when reading
  }

  const EvaluationSpec& spec_;
  const eval::EvaluationConfig& config_;
  const text::Tokenizer& tokenizer_;
  const data::Dataset& dataset_;
  const data::PromptTemplate& template_;
  const int most_tokens_;  // of a prompt; 0: any number
};

}  // namespace

absl::StatusOr<eval::EvaluationConfig> ConfigOf(const EvaluationSpec& spec) {
  if (spec.data().path().empty()) return absl::InvalidArgumentError("data.path: is empty");
  if (spec.arms_size() < 1)
    return absl::InvalidArgumentError("arms: none; one is measured, more are compared");
  MELLOW_RETURN_IF_ERROR(SplitOf(spec.data()).Validate());
  if (spec.data().has_max_source_tokens() && spec.data().max_source_tokens() < 1)
    return Bad("data.max_source_tokens", spec.data().max_source_tokens(), "at least 1");
  eval::EvaluationConfig c;
  c.name = spec.name();
  c.data_path = spec.data().path();
  c.prompt_template = spec.data().has_prompt_template() ? spec.data().prompt_template()
                                                        : data::kDefaultPromptTemplate;
  c.reference_column =
      spec.data().has_reference_columns() ? spec.data().reference_columns() : "summary";
  MELLOW_ASSIGN_OR_RETURN(c.sampling, SamplingOf(spec));
  c.stemmer = spec.stemmer();
  const evaluation::v1::StatisticsSpec& s = spec.statistics();
  c.resamples = s.has_resamples() ? s.resamples() : 10000;
  c.permutations = s.has_permutations() ? s.permutations() : 10000;
  c.statistics_seed = s.seed();
  if (s.has_confidence()) c.confidence = s.confidence();
  if (s.has_alpha()) c.alpha = s.alpha();
  if (s.has_power()) c.power = s.power();
  if (s.has_detectable_change()) c.detectable_change = s.detectable_change();
  MELLOW_RETURN_IF_ERROR(CheckStatistics(c));
  return c;
}

absl::StatusOr<std::vector<EvaluationPrompt>> ReadEvaluationPrompts(
    const EvaluationSpec& spec, const text::Tokenizer& tokenizer, int node_tokens,
    eval::EvaluationConfig* config) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<data::NeededColumn> columns,
                          NeededColumns(spec, *config));
  MELLOW_ASSIGN_OR_RETURN(
      const data::Dataset all,
      data::ReadNeededColumns("data.path", config->data_path, columns, &config->data_sha256));
  MELLOW_ASSIGN_OR_RETURN(const data::Dataset dataset, SelectRows(spec.data(), all));
  MELLOW_RETURN_IF_ERROR(data::CheckNotEmpty("data.path", dataset, DialogueColumn(spec.data())));
  for (const std::string& column : ReferenceColumns(config->reference_column))
    MELLOW_RETURN_IF_ERROR(data::CheckNotEmpty("data.path", dataset, column));
  config->data_rows = static_cast<int64_t>(all.rows().size());
  config->prompts = static_cast<int64_t>(dataset.rows().size());
  const absl::StatusOr<data::PromptTemplate> prompt_template =
      data::PromptTemplate::Parse(config->prompt_template, dataset.columns());
  if (!prompt_template.ok())
    return data::BadField("data.prompt_template", prompt_template.status());
  const int most_tokens =
      spec.data().has_max_source_tokens() ? spec.data().max_source_tokens() : node_tokens;
  const PromptMaker maker(spec, *config, tokenizer, dataset, *prompt_template, most_tokens);
  std::vector<EvaluationPrompt> prompts;
  Sha256 hash;
  for (size_t i = 0; i < dataset.rows().size(); ++i) {
    MELLOW_ASSIGN_OR_RETURN(prompts.emplace_back(), maker.Make(i));
    const EvaluationPrompt& prompt = prompts.back();
    hash.Update(absl::StrCat(eval::RowToJson(prompt.row), "\n",
                             absl::StrJoin(prompt.source_ids, " "), "\n"));
  }
  config->prompts_sha256 = hash.HexDigest();
  return prompts;
}

}  // namespace mellow::cli
