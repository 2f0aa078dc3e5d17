#include "services/learner/sft_data.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/data/prompt_template.h"
#include "common/data/select.h"
#include "common/sft/batch_plan.h"

namespace mellow::learner {
namespace {

absl::Status BadField(absl::string_view field, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", status.message()));
}

bool Filters(const SftDataPlan& plan) { return plan.min_chars || plan.max_chars; }

// The columns that a run needs, and the field that asks for each.
struct Column {
  std::string name;
  const char* field;
};

absl::StatusOr<std::vector<Column>> ColumnsOf(const SftDataPlan& plan) {
  absl::StatusOr<std::vector<std::string>> prompt =
      data::PromptTemplate::Columns(plan.prompt_template);
  if (!prompt.ok()) return BadField("data.prompt_template", prompt.status());
  if (prompt->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.prompt_template: ", plan.prompt_template, ": has no column in braces"));
  }
  std::vector<Column> columns;
  for (const std::string& name : *prompt) columns.push_back({name, "data.prompt_template"});
  columns.push_back({plan.summary_column, "data.summary_column"});
  if (Filters(plan)) columns.push_back({plan.filter_column, "data.filter_column"});
  return columns;
}

absl::StatusOr<data::Dataset> ReadColumns(const char* path_field, const std::string& path,
                                          const std::vector<Column>& columns) {
  data::ReadOptions options;
  for (const Column& column : columns) {
    if (std::find(options.columns.begin(), options.columns.end(), column.name) ==
        options.columns.end())
      options.columns.push_back(column.name);
  }
  absl::StatusOr<data::Dataset> dataset = data::ReadDataset(path, options);
  if (dataset.ok()) return dataset;
  // A column that the whole file lacks is a mistake in the run file; one that a row lacks is not.
  if (const absl::StatusOr<data::Dataset> all = data::ReadDataset(path); all.ok()) {
    for (const Column& column : columns) {
      if (const auto place = all->ColumnIndex(column.name); !place.ok())
        return BadField(column.field, place.status());
    }
  }
  return BadField(path_field, dataset.status());
}

// Every row must have text in these columns.
absl::Status CheckNotEmpty(const char* path_field, const data::Dataset& dataset,
                           const std::string& name) {
  MELLOW_ASSIGN_OR_RETURN(const size_t column, dataset.ColumnIndex(name));
  constexpr size_t kMostShown = 10;
  std::vector<int> lines;
  for (const data::Row& row : dataset.rows()) {
    if (absl::StripAsciiWhitespace(row.values[column]).empty()) lines.push_back(row.line);
  }
  if (lines.empty()) return absl::OkStatus();
  const size_t count = lines.size();
  lines.resize(std::min(count, kMostShown));
  return absl::InvalidArgumentError(absl::StrCat(
      path_field, ": ", dataset.path(), ": ", count, count == 1 ? " row has" : " rows have",
      " nothing in column \"", name, "\" (line ", absl::StrJoin(lines, ", "),
      count > kMostShown ? ", ..." : "", ")"));
}

// Text to ids, cut to `most`; counts the cuts.
absl::StatusOr<std::vector<int32_t>> Encode(const text::Tokenizer& tokenizer,
                                            const std::string& text, int most, int* cut) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(text));
  if (ids.size() <= static_cast<size_t>(most)) return ids;
  ++*cut;
  return tokenizer.Encode(text, most);
}

class Loader {
 public:
  Loader(const SftDataPlan& plan, const text::Tokenizer& tokenizer, std::vector<Column> columns)
      : plan_(plan), tokenizer_(tokenizer), columns_(std::move(columns)) {}

  absl::StatusOr<data::Dataset> Read(const char* path_field, const std::string& path) const {
    MELLOW_ASSIGN_OR_RETURN(data::Dataset dataset, ReadColumns(path_field, path, columns_));
    for (const Column& column : columns_)
      MELLOW_RETURN_IF_ERROR(CheckNotEmpty(path_field, dataset, column.name));
    const size_t before = dataset.rows().size();
    if (Filters(plan_)) {
      MELLOW_ASSIGN_OR_RETURN(
          dataset,
          data::FilterByLength(dataset, {plan_.filter_column, plan_.min_chars, plan_.max_chars}));
    }
    if (dataset.rows().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path_field, ": ", path, ": ",
          before == 0
              ? "has no rows"
              : absl::StrCat("none of ", before, " rows is left after min_chars and max_chars")));
    }
    return dataset;
  }

  absl::StatusOr<std::vector<sft::Pair>> Tokenise(const data::Dataset& dataset,
                                                  SftData* out) const {
    MELLOW_ASSIGN_OR_RETURN(const data::PromptTemplate prompt,
                            data::PromptTemplate::Parse(plan_.prompt_template, dataset.columns()));
    MELLOW_ASSIGN_OR_RETURN(const size_t summary, dataset.ColumnIndex(plan_.summary_column));
    std::vector<sft::Pair> pairs;
    pairs.reserve(dataset.rows().size());
    for (const data::Row& row : dataset.rows()) {
      absl::StatusOr<std::vector<int32_t>> source =
          Encode(tokenizer_, prompt.Render(row), plan_.max_source_tokens, &out->truncated_sources);
      absl::StatusOr<std::vector<int32_t>> target =
          Encode(tokenizer_, row.values[summary], plan_.max_target_tokens, &out->truncated_targets);
      for (const absl::Status& status : {source.status(), target.status()}) {
        if (!status.ok())
          return BadField("data", Annotate(status, absl::StrCat(dataset.path(), ":", row.line)));
      }
      pairs.push_back({*std::move(source), *std::move(target)});
    }
    return pairs;
  }

 private:
  const SftDataPlan& plan_;
  const text::Tokenizer& tokenizer_;
  const std::vector<Column> columns_;
};

void HashPairs(const std::vector<sft::Pair>& pairs, Sha256* sha) {
  const uint64_t count = pairs.size();
  sha->Update(&count, sizeof(count));
  for (const sft::Pair& pair : pairs) {
    for (const std::vector<int32_t>* ids : {&pair.source_ids, &pair.target_ids}) {
      const uint64_t length = ids->size();
      sha->Update(&length, sizeof(length));
      sha->Update(ids->data(), length * sizeof(int32_t));
    }
  }
}

// Moves the rows that the seed draws from `train` to `dev`.
void HoldOut(uint32_t seed, double share, SftData* data) {
  const std::vector<uint32_t> rows =
      sft::HeldOutRows(seed, static_cast<uint32_t>(data->train.size()), share);
  std::vector<sft::Pair> rest;
  size_t next = 0;
  for (size_t i = 0; i < data->train.size(); ++i) {
    const bool held_out = next < rows.size() && rows[next] == i;
    if (held_out) ++next;
    (held_out ? data->dev : rest).push_back(std::move(data->train[i]));
  }
  data->train = std::move(rest);
}

}  // namespace

absl::StatusOr<SftData> LoadSftData(const SftDataPlan& plan, uint32_t seed,
                                    const text::Tokenizer& tokenizer) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<Column> columns, ColumnsOf(plan));
  const Loader loader(plan, tokenizer, std::move(columns));
  SftData out;
  MELLOW_ASSIGN_OR_RETURN(const data::Dataset all, loader.Read("data.path", plan.path));
  MELLOW_ASSIGN_OR_RETURN(const data::Split split, data::SplitInOrder(all, plan.train_fraction));
  MELLOW_ASSIGN_OR_RETURN(out.train, loader.Tokenise(split.train, &out));
  if (!plan.dev_path.empty()) {
    MELLOW_ASSIGN_OR_RETURN(data::Dataset dev, loader.Read("data.dev_path", plan.dev_path));
    if (plan.max_dev_rows && static_cast<size_t>(*plan.max_dev_rows) < dev.rows().size()) {
      dev = data::Dataset(dev.path(), dev.columns(),
                          {dev.rows().begin(), dev.rows().begin() + *plan.max_dev_rows});
    }
    MELLOW_ASSIGN_OR_RETURN(out.dev, loader.Tokenise(dev, &out));
  } else if (out.train.size() <= std::numeric_limits<uint32_t>::max()) {
    HoldOut(seed, plan.dev_fraction, &out);
  }
  if (out.train.empty() || out.train.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.path: ", plan.path, ": ", out.train.size(), " of ", all.rows().size(),
                     " rows are left to train on after train_fraction and dev_fraction"));
  }
  Sha256 sha;
  HashPairs(out.train, &sha);
  HashPairs(out.dev, &sha);
  out.sha256 = sha.HexDigest();
  return out;
}

}  // namespace mellow::learner
