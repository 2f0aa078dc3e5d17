#ifndef MELLOW_SERVICES_POLICY_STREAM_CALLS_H_
#define MELLOW_SERVICES_POLICY_STREAM_CALLS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "common/rpc/callback_call.h"
#include "services/policy/call_parts.h"
#include "services/policy/policy_engine.h"
#include "services/policy/sequence_feed.h"

namespace mellow::policy {

// Has the engine feed the stream, which begins afterwards, with the job that `make_job`
// (-> absl::StatusOr<GenerateJob>) returns in one of the workers; an error of either, also one that
// is thrown, ends the stream.
template <typename Response, typename MakeJob>
void FeedStream(const CallParts* parts, std::shared_ptr<rpc::PulledStream<Response>> stream,
                std::shared_ptr<SequenceFeed> feed, std::shared_ptr<PolicyEngine::Places> places,
                MakeJob make_job) {
  parts->workers->Add(Workers::Urgency::kRequest, [=, make_job = std::move(make_job)] {
    const auto end = [stream, feed](absl::StatusOr<nn::GeneratedSequence> sequence) {
      feed->End(std::move(sequence));
      stream->Poke();
    };
    absl::Status status = Caught([&]() -> absl::Status {
      MELLOW_ASSIGN_OR_RETURN(GenerateJob job, make_job());
      // A beam search may still drop what it has so far.
      if (job.params.num_beams == 1) {
        job.on_token = [stream, feed](const nn::GeneratedSequence& so_far) {
          feed->Update(so_far);
          stream->Poke();
        };
      }
      job.done = end;
      std::vector<GenerateJob> jobs;
      jobs.push_back(std::move(job));
      return parts->engine->Submit(std::move(jobs), places.get());
    });
    if (!status.ok()) end(std::move(status));
  });
}

// What `text` adds to what was sent of it, which grows by that; nothing where it does not go on.
inline std::string TakeNew(absl::string_view text, std::string* sent) {
  if (text.size() <= sent->size() || !absl::StartsWith(text, *sent)) return "";
  std::string added(text.substr(sent->size()));
  sent->append(added);
  return added;
}

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_STREAM_CALLS_H_
