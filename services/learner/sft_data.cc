#include "services/learner/sft_data.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/data/needed_columns.h"
#include "common/data/prompt_template.h"
#include "common/data/select.h"
#include "common/data/split.h"
#include "common/sft/batch_plan.h"

namespace mellow::learner {
namespace {

bool Filters(const SftDataPlan& plan) { return plan.min_chars || plan.max_chars; }

// The columns that a run needs.
absl::StatusOr<std::vector<data::NeededColumn>> ColumnsOf(const SftDataPlan& plan) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<data::NeededColumn> columns,
                          data::TemplateColumns("data.prompt_template", plan.prompt_template));
  columns.push_back({plan.summary_column, "data.summary_column"});
  if (Filters(plan)) columns.push_back({plan.filter_column, "data.filter_column"});
  plan.split.AddNeededColumn(&columns);
  return columns;
}

// A summary's ids, cut to `most`; counts the cuts.
absl::StatusOr<std::vector<int32_t>> EncodeTarget(const text::Tokenizer& tokenizer,
                                                  const std::string& text, int most, int* cut) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(text));
  if (ids.size() <= static_cast<size_t>(most)) return ids;
  ++*cut;
  return tokenizer.Encode(text, most);
}

class Loader {
 public:
  Loader(const SftDataPlan& plan, const text::Tokenizer& tokenizer,
         std::vector<data::NeededColumn> columns)
      : plan_(plan), tokenizer_(tokenizer), columns_(std::move(columns)) {}

  absl::StatusOr<data::Dataset> Read(const char* path_field, const std::string& path) const {
    MELLOW_ASSIGN_OR_RETURN(data::Dataset dataset,
                            data::ReadNeededColumns(path_field, path, columns_));
    for (const data::NeededColumn& column : columns_)
      MELLOW_RETURN_IF_ERROR(data::CheckNotEmpty(path_field, dataset, column.name));
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

  absl::StatusOr<std::vector<sft::Pair>> Tokenize(const data::Dataset& dataset,
                                                  SftData* out) const {
    MELLOW_ASSIGN_OR_RETURN(const data::PromptTemplate prompt,
                            data::PromptTemplate::Parse(plan_.prompt_template, dataset.columns()));
    MELLOW_ASSIGN_OR_RETURN(const size_t summary, dataset.ColumnIndex(plan_.summary_column));
    std::vector<sft::Pair> pairs;
    pairs.reserve(dataset.rows().size());
    for (const data::Row& row : dataset.rows()) {
      absl::StatusOr<text::FittedPrompt> source =
          prompt.Encode(row, tokenizer_, plan_.max_source_tokens.value_or(0));
      absl::StatusOr<std::vector<int32_t>> target = EncodeTarget(
          tokenizer_, row.values[summary], plan_.max_target_tokens, &out->truncated_targets);
      for (const absl::Status& status : {source.status(), target.status()}) {
        if (!status.ok())
          return data::BadField("data",
                                Annotate(status, absl::StrCat(dataset.path(), ":", row.line)));
      }
      if (source->truncated()) ++out->truncated_sources;
      pairs.push_back({std::move(source->ids), *std::move(target)});
    }
    return pairs;
  }

 private:
  const SftDataPlan& plan_;
  const text::Tokenizer& tokenizer_;
  const std::vector<data::NeededColumn> columns_;
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
  MELLOW_ASSIGN_OR_RETURN(std::vector<data::NeededColumn> columns, ColumnsOf(plan));
  const Loader loader(plan, tokenizer, std::move(columns));
  SftData out;
  MELLOW_ASSIGN_OR_RETURN(const data::Dataset all, loader.Read("data.path", plan.path));
  MELLOW_ASSIGN_OR_RETURN(const data::Split split, data::SplitRows(all, plan.split));
  MELLOW_ASSIGN_OR_RETURN(out.train, loader.Tokenize(split.train, &out));
  if (!plan.dev_path.empty()) {
    MELLOW_ASSIGN_OR_RETURN(data::Dataset dev, loader.Read("data.dev_path", plan.dev_path));
    if (plan.max_dev_rows && static_cast<size_t>(*plan.max_dev_rows) < dev.rows().size()) {
      dev = data::Dataset(dev.path(), dev.columns(),
                          {dev.rows().begin(), dev.rows().begin() + *plan.max_dev_rows});
    }
    MELLOW_ASSIGN_OR_RETURN(out.dev, loader.Tokenize(dev, &out));
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
