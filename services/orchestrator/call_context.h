#ifndef MELLOW_SERVICES_ORCHESTRATOR_CALL_CONTEXT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_CALL_CONTEXT_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <stop_token>
#include <utility>

#include "common/rpc/client.h"

namespace mellow::orchestrator {

// Calls that are expected within seconds get this long, so that a peer that hangs is noticed.
inline constexpr absl::Duration kShortCall = absl::Minutes(2);

// A ClientContext with a deadline that is cancelled when a token stops. One call each.
class CallContext {
 public:
  CallContext(absl::Duration timeout, std::stop_token stop)
      : on_stop_(std::move(stop), [this] { context_.TryCancel(); }) {
    if (timeout < absl::InfiniteDuration()) rpc::SetTimeout(&context_, timeout);
  }
  grpc::ClientContext* get() { return &context_; }

 private:
  grpc::ClientContext context_;
  std::stop_callback<std::function<void()>> on_stop_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_CALL_CONTEXT_H_
