#include "services/orchestrator/rollouts/reference_scoring.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::orchestrator {
namespace {

// The tokens of one request: what a node computes in one pass, and far below what it takes at once.
constexpr size_t kPieceTokens = 2048;

size_t Tokens(const TokenPair& pair) { return pair.source_ids.size() + pair.target_ids.size(); }

absl::Status Check(absl::Span<const TokenPair> pairs, const PairScores& scores,
                   const AdapterRef& reference) {
  if (!SameWeights(scores.adapter, reference)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "scored with adapter ", ToString(scores.adapter), " instead of ", ToString(reference)));
  }
  if (scores.logprobs.size() != pairs.size()) {
    return absl::InternalError(absl::StrCat("reference log-probs of ", scores.logprobs.size(),
                                            " pairs, asked were ", pairs.size()));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const std::vector<float>& row = scores.logprobs[i];
    if (row.size() != pairs[i].target_ids.size()) {
      return absl::InternalError(absl::StrCat(row.size(), " reference log-probs for ",
                                              pairs[i].target_ids.size(), " ids"));
    }
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }))
      return absl::InternalError("a reference log-prob is not finite");
  }
  return absl::OkStatus();
}

absl::StatusOr<PairScores> ScorePiece(PolicyClient* client, absl::Span<const TokenPair> pairs,
                                      const ReferenceWeights& reference, std::stop_token stop) {
  absl::StatusOr<PairScores> scores = client->ScoreTokens(pairs, reference.ref.version, stop);
  if (!absl::IsNotFound(scores.status()) || reference.files == nullptr) return scores;
  MELLOW_RETURN_IF_ERROR(Annotate(
      client->PublishAdapter(reference.ref, *reference.files, wire::Publication::kReference, stop),
      "publishing the reference"));
  return client->ScoreTokens(pairs, reference.ref.version, std::move(stop));
}

}  // namespace

absl::StatusOr<std::vector<std::vector<float>>> ScoreUnderReference(
    PolicyClient* client, absl::Span<const TokenPair> pairs, const ReferenceWeights& reference,
    std::stop_token stop) {
  std::vector<std::vector<float>> logprobs;
  for (size_t first = 0; first < pairs.size();) {
    size_t count = 1;
    for (size_t tokens = Tokens(pairs[first]); first + count < pairs.size(); ++count) {
      tokens += Tokens(pairs[first + count]);
      if (tokens > kPieceTokens) break;
    }
    const absl::Span<const TokenPair> piece = pairs.subspan(first, count);
    MELLOW_ASSIGN_OR_RETURN(PairScores scores, ScorePiece(client, piece, reference, stop));
    MELLOW_RETURN_IF_ERROR(Check(piece, scores, reference.ref));
    std::move(scores.logprobs.begin(), scores.logprobs.end(), std::back_inserter(logprobs));
    first += count;
  }
  return logprobs;
}

}  // namespace mellow::orchestrator
