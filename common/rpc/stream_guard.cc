#include "common/rpc/stream_guard.h"

#include <grpc/grpc.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace mellow::rpc {
namespace {

// Ends the call with a status that the client gets although it does not read: it is not subject to
// flow control, as messages are.
void Cut(grpc::ServerContext* context, const absl::Status& why) {
  grpc_call_cancel_with_status(context->c_call(), static_cast<grpc_status_code>(why.code()),
                               std::string(why.message()).c_str(), nullptr);
}

}  // namespace

StreamGuard::StreamGuard(absl::Duration patience, int max_streams)
    : patience_(patience), max_streams_(max_streams), thread_([this] { Loop(); }) {}

StreamGuard::~StreamGuard() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  stopped_.NotifyAll();
}

absl::Status StreamGuard::Enter() {
  MutexLock lock(&mutex_);
  if (!cut_.ok()) return cut_;
  if (streams_ >= max_streams_)
    return absl::ResourceExhaustedError(absl::StrCat(max_streams_, " watchers already"));
  ++streams_;
  return absl::OkStatus();
}

void StreamGuard::Leave() {
  MutexLock lock(&mutex_);
  --streams_;
}

StreamGuard::Writing::Writing(StreamGuard* guard, grpc::ServerContext* context) : guard_(guard) {
  MutexLock lock(&guard_->mutex_);
  at_ = guard_->writes_.insert(guard_->writes_.end(), {context, SteadyTime::Now()});
  if (!guard_->cut_.ok()) Cut(context, guard_->cut_);
}

StreamGuard::Writing::~Writing() {
  MutexLock lock(&guard_->mutex_);
  guard_->writes_.erase(at_);
}

void StreamGuard::CutAll(const absl::Status& why) {
  MutexLock lock(&mutex_);
  cut_ = why;
  for (const Open& open : writes_) Cut(open.context, why);
}

void StreamGuard::Loop() {
  const absl::Status late = absl::ResourceExhaustedError(
      absl::StrCat("no message was read for ", absl::FormatDuration(patience_),
                   ": cut off; watch again, and read what comes"));
  const absl::Duration tick = std::min(patience_ / 4, absl::Seconds(1));
  MutexLock lock(&mutex_);
  while (!stop_) {
    const SteadyTime now = SteadyTime::Now();
    // Those that were cut before are still in the list for a moment: once more does no harm.
    for (const Open& open : writes_) {
      if (now - open.since < patience_) break;
      Cut(open.context, late);
    }
    stopped_.WaitFor(&mutex_, tick);
  }
}

}  // namespace mellow::rpc
