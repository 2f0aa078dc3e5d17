#ifndef MELLOW_COMMON_RPC_WATCH_H_
#define MELLOW_COMMON_RPC_WATCH_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"

namespace mellow::rpc {

// Follows a stream of events that ends with one that has `ended`, and that another thread may cut
// short. One Follow at a time.
class Watch {
 public:
  // Calls `on_event` for every message. OK: the ending one came; Cancelled: Cancel was called;
  // Unavailable: the stream of `what` broke or ended before; else the peer's own status.
  template <typename Stub, typename Request, typename Event>
  [[nodiscard]] absl::Status Follow(
      const std::shared_ptr<grpc::Channel>& channel, const std::string& peer,
      const std::string& what,
      std::unique_ptr<grpc::ClientReader<Event>> (Stub::*method)(grpc::ClientContext*,
                                                                 const Request&),
      const Request& request,
      const std::function<void(const std::type_identity_t<Event>&)>& on_event)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    Stub stub(channel);
    grpc::ClientContext context;
    if (!Begin(&context)) return Cancelled();
    const auto reader = (stub.*method)(&context, request);
    Event event;
    bool ended = false;
    while (reader->Read(&event)) {
      ended = event.has_ended();
      on_event(event);
    }
    const grpc::Status status = reader->Finish();
    const bool cancelled = !Begin(nullptr);
    if (ended) return absl::OkStatus();
    if (cancelled) return Cancelled();
    if (status.ok())
      return absl::UnavailableError(
          absl::StrCat(peer, ": the stream of ", what, " ended before the run"));
    return FromGrpcStatus(status, peer);
  }

  // From any thread, also before Follow: the next one returns at once.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }

 private:
  static absl::Status Cancelled() { return absl::CancelledError("watching was cancelled"); }
  // Makes `context` what Cancel ends; false: it has been called already.
  bool Begin(grpc::ClientContext* context) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    context_ = cancelled_ ? nullptr : context;
    return !cancelled_;
  }

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_WATCH_H_
