#include "services/learner/sft/sft_data.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/sft/batch_plan.h"

namespace mellow::learner {
namespace {

// A summary's ids, cut to `most`; counts the cuts.
absl::StatusOr<std::vector<int32_t>> EncodeTarget(const text::Tokenizer& tokenizer,
                                                  const std::string& text, int most, int* cut) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(text));
  if (ids.size() <= static_cast<size_t>(most)) return ids;
  ++*cut;
  return tokenizer.Encode(text, most);
}

absl::StatusOr<data::SelectedRows> ReadRows(const data::DataSpec& spec, const char* path_field) {
  MELLOW_ASSIGN_OR_RETURN(
      data::SelectedRows rows,
      data::SelectRows(spec, {{spec.summary_column, "data.summary_column"}}, path_field));
  if (rows.filtered_rows == 0) return data::NoRowsLeft(path_field, rows, "min_chars and max_chars");
  for (const data::Dataset* part : {&rows.train, &rows.held_out}) {
    for (const std::string& column : part->columns())
      MELLOW_RETURN_IF_ERROR(data::CheckNotEmpty(path_field, *part, column));
  }
  return rows;
}

// The first `most` rows of the train side, tokenized.
absl::StatusOr<std::vector<sft::Pair>> Tokenize(const data::DataSpec& spec,
                                                const text::Tokenizer& tokenizer,
                                                const data::SelectedRows& rows, size_t most,
                                                SftData* out) {
  const data::Dataset& dataset = rows.train;
  MELLOW_ASSIGN_OR_RETURN(const size_t summary, dataset.ColumnIndex(spec.summary_column));
  std::vector<sft::Pair> pairs;
  pairs.reserve(std::min(most, dataset.rows().size()));
  for (const data::Row& row : dataset.rows()) {
    if (pairs.size() == most) break;
    absl::StatusOr<text::FittedPrompt> source =
        rows.prompt.Encode(row, tokenizer, spec.max_source_tokens.value_or(0));
    absl::StatusOr<std::vector<int32_t>> target = EncodeTarget(
        tokenizer, row.values[summary], spec.max_target_tokens, &out->truncated_targets);
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

absl::StatusOr<SftData> LoadSftData(const data::DataSpec& spec, uint32_t seed,
                                    const text::Tokenizer& tokenizer) {
  constexpr size_t kAll = std::numeric_limits<size_t>::max();
  SftData out;
  MELLOW_ASSIGN_OR_RETURN(const data::SelectedRows rows, ReadRows(spec, "data.path"));
  MELLOW_ASSIGN_OR_RETURN(out.train, Tokenize(spec, tokenizer, rows, kAll, &out));
  if (!spec.dev_path.empty()) {
    data::DataSpec dev = spec;
    dev.path = spec.dev_path;
    dev.split = {};
    MELLOW_ASSIGN_OR_RETURN(const data::SelectedRows dev_rows, ReadRows(dev, "data.dev_path"));
    const size_t most = spec.max_dev_rows ? static_cast<size_t>(*spec.max_dev_rows) : kAll;
    MELLOW_ASSIGN_OR_RETURN(out.dev, Tokenize(dev, tokenizer, dev_rows, most, &out));
  } else if (out.train.size() <= std::numeric_limits<uint32_t>::max()) {
    HoldOut(seed, spec.dev_fraction, &out);
  }
  if (out.train.empty() || out.train.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.path: ", spec.path, ": ", out.train.size(), " of ", rows.filtered_rows,
                     " rows are left to train on after train_fraction and dev_fraction"));
  }
  Sha256 sha;
  HashPairs(out.train, &sha);
  HashPairs(out.dev, &sha);
  out.sha256 = sha.HexDigest();
  return out;
}

}  // namespace mellow::learner
