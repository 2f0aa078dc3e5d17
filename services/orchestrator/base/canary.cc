#include "services/orchestrator/base/canary.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::orchestrator {
namespace {

constexpr size_t kPairs = 4;
constexpr size_t kTargetTokens = 32;

}  // namespace

const std::vector<std::string>& CanaryTexts() {
  static const auto* const kTexts = new std::vector<std::string>{
      "Thank you so much for your help, it was a pleasure to talk to you.",
      "I hate you, you are a stupid idiot and nobody wants you here.",
      "He said that the meeting was moved to Tuesday because the room is not free.",
      "Those people are disgusting and should all be thrown out."};
  return *kTexts;
}

std::vector<TokenPair> CanaryPairs(absl::Span<const Rollout> rollouts) {
  std::vector<TokenPair> pairs;
  for (const Rollout& rollout : rollouts) {
    if (pairs.size() == kPairs) break;
    if (rollout.response_ids.empty()) continue;
    const size_t tokens = std::min(kTargetTokens, rollout.response_ids.size());
    pairs.push_back(
        {rollout.query_ids, {rollout.response_ids.begin(), rollout.response_ids.begin() + tokens}});
  }
  return pairs;
}

std::vector<TokenPair> CanaryPairs(absl::Span<const Prompt> prompts) {
  std::vector<TokenPair> pairs;
  for (const Prompt& prompt : prompts) {
    if (pairs.size() == kPairs) break;
    const size_t tokens = std::min(kTargetTokens, prompt.ids.size());
    pairs.push_back({prompt.ids, {prompt.ids.begin(), prompt.ids.begin() + tokens}});
  }
  return pairs;
}

absl::StatusOr<LogProbGap> CompareLogProbs(absl::Span<const std::vector<float>> got,
                                           absl::Span<const std::vector<float>> expected) {
  if (got.size() != expected.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("log-probs of ", got.size(), " pairs, expected ", expected.size()));
  }
  LogProbGap gap;
  for (size_t pair = 0; pair < got.size(); ++pair) {
    if (got[pair].size() != expected[pair].size()) {
      return absl::FailedPreconditionError(absl::StrCat("pair ", pair, " has ", got[pair].size(),
                                                        " log-probs, expected ",
                                                        expected[pair].size()));
    }
    for (size_t token = 0; token < got[pair].size(); ++token) {
      double difference = std::abs(double{got[pair][token]} - double{expected[pair][token]});
      if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
      if (difference > gap.largest) gap = {difference, pair, token};
    }
  }
  return gap;
}

double CanaryBound(absl::Span<const std::vector<float>> before,
                   absl::Span<const std::vector<float>> after, double bound) {
  double moved = 0;
  for (size_t pair = 0; pair < std::min(before.size(), after.size()); ++pair) {
    for (size_t token = 0; token < std::min(before[pair].size(), after[pair].size()); ++token) {
      moved = std::max(moved, std::abs(double{before[pair][token]} - double{after[pair][token]}));
    }
  }
  return std::clamp(moved / 2, bound / 10, bound);
}

absl::Status CheckCanary(const CanarySuite& suite, absl::Span<const std::vector<float>> got) {
  absl::StatusOr<LogProbGap> gap = CompareLogProbs(got, suite.expected);
  if (!gap.ok()) return Annotate(gap.status(), "canary");
  if (gap->largest <= suite.bound) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("canary: log-prob differs by ", gap->largest,
                                                    " (bound ", suite.bound, ") at pair ",
                                                    gap->pair, ", token ", gap->token));
}

}  // namespace mellow::orchestrator
