#include "services/cli/evaluate/evaluation_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/data/data_spec.h"
#include "services/wire/data_spec.h"
#include "services/wire/sampling.h"

namespace mellow::cli {
namespace {

using evaluation::v1::EvaluationSpec;

constexpr int kMaxSamples = 64;
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
           {from.has_forced_eos_token_id(), "forced_eos_token_id"},
           {from.has_min_p(), "min_p"},
           {from.has_typical_p(), "typical_p"},
           {from.has_epsilon_cutoff(), "epsilon_cutoff"},
           {from.has_eta_cutoff(), "eta_cutoff"}}) {
    if (has)
      return absl::InvalidArgumentError(absl::StrCat(
          "sampling.", name, ": evaluations take it from the model's generation_config.json only"));
  }
  eval::SamplingConfig s;
  MELLOW_RETURN_IF_ERROR(wire::ReadSampling(from, &s));
  MELLOW_RETURN_IF_ERROR(wire::CheckSampling(s));
  if (spec.has_samples()) s.samples = spec.samples();
  if (s.samples < 1 || s.samples > kMaxSamples)
    return Bad("samples", s.samples, absl::StrCat("1 to ", kMaxSamples));
  if (s.samples > 1 && !s.do_sample)
    return Bad("samples", s.samples, "1 without sampling.do_sample: all would be the same");
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

std::vector<data::NeededColumn> ColumnsOf(const EvaluationSpec& spec, const data::DataSpec& data) {
  std::vector<data::NeededColumn> columns = {{data.dialogue_column, "data.dialogue_column"}};
  for (const std::string& column : data.reference_columns) {
    columns.push_back({column, spec.data().has_reference_columns()
                                   ? "data.reference_columns"
                                   : "data.reference_columns (set it to \"\" for no ROUGE)"});
  }
  for (const std::string& column : spec.slice_columns())
    columns.push_back({column, "slice_columns"});
  return columns;
}

// The rows that are evaluated.
absl::StatusOr<data::Dataset> HeldOutRows(const data::DataSpec& spec,
                                          const data::SelectedRows& selected) {
  std::vector<data::Row> rows = selected.held_out.rows();
  if (spec.limit > 0 && static_cast<size_t>(spec.limit) < rows.size())
    rows.resize(static_cast<size_t>(spec.limit));
  if (rows.empty())
    return data::NoRowsLeft("data.path", selected, "min_chars, max_chars and train_fraction");
  data::Dataset dataset(spec.path, selected.held_out.columns(), std::move(rows));
  MELLOW_RETURN_IF_ERROR(data::CheckNotEmpty("data.path", dataset, spec.dialogue_column));
  for (const std::string& column : spec.reference_columns)
    MELLOW_RETURN_IF_ERROR(data::CheckNotEmpty("data.path", dataset, column));
  return dataset;
}

class PromptMaker {
 public:
  PromptMaker(const EvaluationSpec& spec, const data::DataSpec& data,
              const text::Tokenizer& tokenizer, const data::Dataset& dataset,
              const data::PromptTemplate& prompt_template, int most_tokens)
      : spec_(spec),
        data_(data),
        tokenizer_(tokenizer),
        dataset_(dataset),
        template_(prompt_template),
        most_tokens_(most_tokens) {}

  absl::StatusOr<EvaluationPrompt> Make(size_t index) const {
    const data::Row& row = dataset_.rows()[index];
    EvaluationPrompt prompt;
    prompt.row.index = static_cast<int64_t>(index);
    prompt.row.line = row.line;
    prompt.row.dialogue = Value(row, data_.dialogue_column);
    for (const std::string& column : data_.reference_columns)
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
  const data::DataSpec& data_;
  const text::Tokenizer& tokenizer_;
  const data::Dataset& dataset_;
  const data::PromptTemplate& template_;
  const int most_tokens_;  // of a prompt; 0: any number
};

}  // namespace

absl::StatusOr<eval::EvaluationConfig> ConfigOf(const EvaluationSpec& spec) {
  MELLOW_ASSIGN_OR_RETURN(const data::DataSpec data,
                          wire::DataFromProto(spec.data(), data::DataUse::kEvaluation));
  if (spec.arms_size() < 1)
    return absl::InvalidArgumentError("arms: none; one is measured, more are compared");
  eval::EvaluationConfig c;
  c.name = spec.name();
  c.data_path = data.path;
  c.prompt_template = data.prompt_template;
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
  MELLOW_ASSIGN_OR_RETURN(const data::DataSpec data,
                          wire::DataFromProto(spec.data(), data::DataUse::kEvaluation));
  MELLOW_ASSIGN_OR_RETURN(const data::SelectedRows rows,
                          data::SelectRows(data, ColumnsOf(spec, data)));
  MELLOW_ASSIGN_OR_RETURN(const data::Dataset dataset, HeldOutRows(data, rows));
  config->data_sha256 = rows.sha256;
  config->data_rows = static_cast<int64_t>(rows.file_rows);
  config->prompts = static_cast<int64_t>(dataset.rows().size());
  const PromptMaker maker(spec, data, tokenizer, dataset, rows.prompt,
                          data.max_source_tokens.value_or(node_tokens));
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
