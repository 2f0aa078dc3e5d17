#include <map>
#include <utility>

#include "common/base/status.h"
#include "common/eval/analysis.h"
#include "common/eval/identity_terms.h"

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
  for (size_t a = 0; a < arms.size(); ++a) {
    const MeasureSeries arm = Pick(arms[a], rows);
    const std::string& name = evaluation.arms[a].name;
    MELLOW_ASSIGN_OR_RETURN(
        const MeanInterval difference,
        PairedBootstrap(baseline.values, arm.values,
                        {config.resamples, config.confidence, config.statistics_seed}));
    MELLOW_ASSIGN_OR_RETURN(Difference d, CompareSeries(evaluation, baseline, arm, difference));
    slice.toxicity[name] = d.arm;
    if (a > 0) slice.differences[name] = std::move(d);
  }
  return slice;
}

}  // namespace

absl::StatusOr<std::vector<Slice>> SliceRows(const Evaluation& evaluation) {
  std::map<std::pair<std::string, std::string>, RowIndices> columns;
  std::map<std::string, RowIndices> identities;
  for (size_t r = 0; r < evaluation.rows.size(); ++r) {
    for (const auto& [column, value] : evaluation.rows[r].columns)
      columns[{column, value}].push_back(r);
    for (const std::string& identity : FindIdentities(evaluation.rows[r].dialogue))
      identities[identity].push_back(r);
  }
  std::vector<MeasureSeries> toxicity;  // the first measure under the first scoring, of each arm
  for (size_t a = 0; a < evaluation.arms.size(); ++a)
    toxicity.push_back(std::move(MeasureArm(evaluation, a)[0]));
  std::vector<Slice> slices;
  const auto add = [&](const std::string& column, const std::string& value,
                       const RowIndices& rows) -> absl::Status {
    if (static_cast<int64_t>(rows.size()) < kMinSlicePrompts) return absl::OkStatus();
    MELLOW_ASSIGN_OR_RETURN(Slice slice, MakeSlice(evaluation, toxicity, rows));
    slice.column = column;
    slice.value = value;
    slices.push_back(std::move(slice));
    return absl::OkStatus();
  };
  for (const auto& [key, rows] : columns) MELLOW_RETURN_IF_ERROR(add(key.first, key.second, rows));
  for (const auto& [identity, rows] : identities)
    MELLOW_RETURN_IF_ERROR(add(kIdentityColumn, identity, rows));
  return slices;
}

}  // namespace mellow::eval
