#include "services/orchestrator/nodes/self_test.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/base/canary.h"

namespace mellow::orchestrator {
namespace {

// Enough to have different lengths in one batch, few enough to cost seconds on a CPU.
constexpr size_t kRollouts = 8;

absl::Status TooFar(absl::string_view what, double gap, double bound,
                    absl::string_view numbers = "log-probs") {
  return absl::FailedPreconditionError(absl::StrCat("self-test: ", what, ": ", numbers,
                                                    " differ by ", gap, ", the bound is ", bound));
}

// Rows of `got` with their counterparts in `wanted`, where there are any.
absl::StatusOr<double> Gap(const std::vector<std::vector<float>>& got,
                           const std::vector<std::vector<float>>& wanted) {
  std::vector<std::vector<float>> a, b;
  for (size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    if (got[i].empty()) continue;
    a.push_back(got[i]);
    b.push_back(wanted[i]);
  }
  const absl::StatusOr<LogProbGap> gap = CompareLogProbs(a, b);
  if (!gap.ok()) return Annotate(gap.status(), "self-test");
  return gap->largest;
}

}  // namespace

absl::StatusOr<SelfTestFigures> SelfTest(const std::vector<Rollout>& rollouts,
                                         bool reference_is_start, double bound,
                                         double sampler_bound, const LearnerScorer& score) {
  std::vector<TokenPair> pairs;
  std::vector<std::vector<float>> sampled, values, under_reference;
  for (size_t i = 0; i < std::min(rollouts.size(), kRollouts); ++i) {
    pairs.push_back({rollouts[i].query_ids, rollouts[i].response_ids});
    sampled.push_back(rollouts[i].logprobs);
    values.push_back(rollouts[i].values);
    under_reference.push_back(rollouts[i].reference_logprobs);
  }
  SelfTestFigures figures;

  MELLOW_ASSIGN_OR_RETURN(const PairScores batch, score(pairs, /*reference=*/false));
  absl::StatusOr<LogProbGap> gap = CompareLogProbs(batch.logprobs, sampled);
  if (!gap.ok()) return Annotate(gap.status(), "self-test");
  figures.sampler_gap = gap->largest;
  if (!(figures.sampler_gap <= sampler_bound)) {
    return TooFar("the sampler and the learner do not have the same model", figures.sampler_gap,
                  sampler_bound);
  }

  MELLOW_ASSIGN_OR_RETURN(figures.value_gap, Gap(values, batch.values));
  // Values are as large as returns are.
  double size = 1;
  for (const std::vector<float>& row : batch.values) {
    for (const float value : row) size = std::max(size, std::fabs(double{value}));
  }
  if (!(figures.value_gap <= bound * size)) {
    return TooFar("the policy nodes do not have the learner's value head or states",
                  figures.value_gap, bound * size, "values");
  }

  // The shortest has the most padding in the batch.
  const auto length = [](const TokenPair& p) { return p.source_ids.size() + p.target_ids.size(); };
  const size_t shortest = std::min_element(pairs.begin(), pairs.end(),
                                           [&](const TokenPair& a, const TokenPair& b) {
                                             return length(a) < length(b);
                                           }) -
                          pairs.begin();
  MELLOW_ASSIGN_OR_RETURN(const PairScores alone, score({pairs[shortest]}, /*reference=*/false));
  gap = CompareLogProbs(alone.logprobs, {batch.logprobs[shortest]});
  if (!gap.ok()) return Annotate(gap.status(), "self-test");
  figures.batch_gap = gap->largest;
  if (!(figures.batch_gap <= bound)) {
    return TooFar("padding or batch mates change the learner's result", figures.batch_gap, bound);
  }

  const bool from_nodes = std::any_of(under_reference.begin(), under_reference.end(),
                                      [](const auto& row) { return !row.empty(); });
  if (!reference_is_start && !from_nodes) return figures;
  MELLOW_ASSIGN_OR_RETURN(const PairScores reference, score(pairs, /*reference=*/true));
  MELLOW_ASSIGN_OR_RETURN(figures.node_reference_gap, Gap(under_reference, reference.logprobs));
  if (!(figures.node_reference_gap <= bound)) {
    return TooFar("the policy nodes do not have the learner's reference",
                  figures.node_reference_gap, bound);
  }
  if (!reference_is_start) return figures;
  gap = CompareLogProbs(batch.logprobs, reference.logprobs);
  if (!gap.ok()) return Annotate(gap.status(), "self-test");
  figures.reference_gap = gap->largest;
  figures.reference_tested = true;
  // The same weights through the same code: tighter than between two programs.
  if (!(figures.reference_gap <= bound / 10)) {
    return TooFar("the reference is not the starting adapter, so its KL is not 0",
                  figures.reference_gap, bound / 10);
  }
  return figures;
}

}  // namespace mellow::orchestrator
