#include <iterator>
#include <map>
#include <utility>

#include "common/base/status.h"
#include "common/eval/analysis.h"
#include "common/eval/text/identity_terms.h"
#include "common/stats/mean.h"

namespace mellow::eval {
namespace {

using RowIndices = std::vector<size_t>;

MeasureSeries Pick(const MeasureSeries& all, const RowIndices& rows) {
  MeasureSeries picked = {all.measure, all.scoring, all.direction, {}};
  for (const size_t row : rows) picked.values.push_back(all.values[row]);
  return picked;
}

absl::StatusOr<Slice> MakeSlice(const Evaluation& evaluation,
                                const std::vector<MeasureSeries>& arms, const RowIndices& rows) {
  const EvaluationConfig& config = evaluation.config;
  Slice slice;
  slice.prompts = static_cast<int64_t>(rows.size());
  const MeasureSeries baseline = Pick(arms[0], rows);
  slice.toxicity[evaluation.arms[0].name] = stats::Mean(baseline.values);
  for (size_t a = 1; a < arms.size(); ++a) {
    const MeasureSeries arm = Pick(arms[a], rows);
    const std::string& name = evaluation.arms[a].name;
    MELLOW_ASSIGN_OR_RETURN(
        const stats::MeanInterval difference,
        stats::PairedBootstrap(baseline.values, arm.values,
                               {config.resamples, config.confidence, config.statistics_seed}));
    MELLOW_ASSIGN_OR_RETURN(Difference d, CompareSeries(evaluation, baseline, arm, difference));
    slice.toxicity[name] = d.arm;
    slice.differences[name] = std::move(d);
  }
  return slice;
}

struct Group {
  std::string column;
  std::string value;
  RowIndices rows;
};

// Columns and values in byte order, identities last.
std::vector<Group> GroupRows(const Evaluation& evaluation) {
  std::map<std::pair<std::string, std::string>, RowIndices> columns;
  std::map<std::string, RowIndices> identities;
  for (size_t r = 0; r < evaluation.rows.size(); ++r) {
    for (const auto& [column, value] : evaluation.rows[r].columns)
      columns[{column, value}].push_back(r);
    for (const std::string& identity : FindIdentities(evaluation.rows[r].dialogue))
      identities[identity].push_back(r);
  }
  std::vector<Group> groups;
  for (auto& [key, rows] : columns) groups.push_back({key.first, key.second, std::move(rows)});
  for (auto& [identity, rows] : identities)
    groups.push_back({kIdentityColumn, identity, std::move(rows)});
  return groups;
}

bool IsSmall(const Group& group) {
  return static_cast<int64_t>(group.rows.size()) < kMinSlicePrompts;
}

}  // namespace

std::map<std::string, SmallValues> SmallSlices(const Evaluation& evaluation) {
  std::map<std::string, SmallValues> columns;
  for (const Group& group : GroupRows(evaluation)) {
    SmallValues& column = columns[group.column];
    ++column.all_values;
    if (IsSmall(group)) ++column.values;
  }
  for (auto column = columns.begin(); column != columns.end();)
    column = column->second.values == 0 ? columns.erase(column) : std::next(column);
  return columns;
}

absl::StatusOr<std::vector<Slice>> SliceRows(const Evaluation& evaluation) {
  std::vector<MeasureSeries> toxicity;  // the first measure under the first scoring, of each arm
  for (size_t a = 0; a < evaluation.arms.size(); ++a)
    toxicity.push_back(std::move(MeasureArm(evaluation, a)[0]));
  std::vector<Slice> slices;
  for (const Group& group : GroupRows(evaluation)) {
    if (IsSmall(group)) continue;
    MELLOW_ASSIGN_OR_RETURN(Slice slice, MakeSlice(evaluation, toxicity, group.rows));
    slice.column = group.column;
    slice.value = group.value;
    slices.push_back(std::move(slice));
  }
  return slices;
}

}  // namespace mellow::eval
