#include "services/policy/score_calls.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/policy/proto_convert.h"

namespace mellow::policy {
absl::Status StartScoreTokens(const CallParts* parts, rpc::UnaryCall* call,
                              const v1::ScoreTokensRequest* request,
                              v1::ScoreTokensResponse* response) {
  if (request->pairs().empty()) return absl::InvalidArgumentError("pairs: is empty");
  MELLOW_ASSIGN_OR_RETURN(auto adapter, parts->Pin(*request, parts->adapters->Newest()));
  ScoreJob job;
  job.adapter = adapter;
  job.call = CallOf(*call);
  int64_t tokens = 0;
  for (int i = 0; i < request->pairs_size(); ++i) {
    const auto& pair = request->pairs(i);
    ScoreJob::Pair next{{pair.source_ids().begin(), pair.source_ids().end()},
                        {pair.target_ids().begin(), pair.target_ids().end()}};
    if (next.source_ids.empty())
      return absl::InvalidArgumentError(absl::StrCat("pairs[", i, "].source_ids: is empty"));
    // What a pair needs at once grows with it, so its size is bounded by itself.
    const size_t longest =
        static_cast<size_t>(std::max(parts->options.SourceTokens(), parts->options.max_new_tokens));
    if (std::max(next.source_ids.size(), next.target_ids.size()) > longest)
      return absl::InvalidArgumentError(absl::StrCat("pairs[", i, "]: has ", next.source_ids.size(),
                                                     " source_ids and ", next.target_ids.size(),
                                                     " target_ids, at most ", longest, " each"));
    MELLOW_RETURN_IF_ERROR(
        parts->CheckIds(next.source_ids, absl::StrCat("pairs[", i, "].source_ids")));
    MELLOW_RETURN_IF_ERROR(
        parts->CheckIds(next.target_ids, absl::StrCat("pairs[", i, "].target_ids")));
    tokens += static_cast<int64_t>(next.source_ids.size() + next.target_ids.size());
    job.pairs.push_back(std::move(next));
  }
  if (tokens > parts->options.max_batch_tokens)
    return absl::InvalidArgumentError(absl::StrCat("pairs: ", tokens, " tokens together, at most ",
                                                   parts->options.max_batch_tokens, " a request"));
  using LogProbs = absl::StatusOr<std::vector<std::vector<float>>>;
  job.done = [=](LogProbs logprobs) {
    call->AnswerIn(parts->workers, [=, logprobs = std::move(logprobs)]() -> absl::Status {
      if (!logprobs.ok()) return logprobs.status();
      for (const std::vector<float>& row : *logprobs)
        response->add_logprobs()->mutable_values()->Add(row.begin(), row.end());
      *response->mutable_adapter() = ToProto(*adapter);
      return absl::OkStatus();
    });
  };
  return parts->engine->Submit(std::move(job));
}

}  // namespace mellow::policy
