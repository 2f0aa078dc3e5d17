#include "common/rpc/call_limiter.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/steady_time.h"
#include "common/rpc/tls_credentials.h"

namespace mellow::rpc {
namespace {

// "ipv4:10.0.0.1:4242", "ipv6:%5B::1%5D:4242": without the port, which every connection has anew.
std::string HostOf(const std::string& peer) {
  const size_t kind = peer.find(':');
  const size_t port = peer.rfind(':');
  if (kind == std::string::npos || port <= kind) return peer;
  return absl::StrReplaceAll(peer.substr(kind + 1, port - kind - 1), {{"%5B", "["}, {"%5D", "]"}});
}

}  // namespace

CallLimiter::CallLimiter(ClientLimits::Options options, std::shared_ptr<const TokenTable> tokens,
                         std::set<std::string> exempt, CountRefusal count,
                         const MessageLimits& messages)
    : limits_(options),
      tokens_(std::move(tokens)),
      exempt_(std::move(exempt)),
      count_(std::move(count)) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const auto& [path, bytes] : messages) {
    // "/package.Service/Method"; this process may lack the service.
    const auto* method =
        pool->FindMethodByName(absl::StrReplaceAll(absl::StripPrefix(path, "/"), {{"/", "."}}));
    if (method == nullptr || method->client_streaming()) continue;
    OfType& limit = messages_[method->input_type()];
    absl::StrAppend(&limit.methods, limit.methods.empty() ? "" : " and ", path);
    limit.bytes = std::max(limit.bytes, bytes);
  }
}

CallLimiter* CallLimiter::None() {
  static auto* none = new CallLimiter({}, nullptr, {}, nullptr);
  return none;
}

std::string CallLimiter::ClientOf(const grpc::ServerContextBase& context) const {
  const absl::StatusOr<Caller> caller = IdentifyCaller(
      PeerUris(*context.auth_context()), Authorization(context.client_metadata()), tokens_.get());
  if (!caller.ok()) return HostOf(context.peer());
  return exempt_.count(caller->role) != 0 ? "" : caller->Key();
}

absl::StatusOr<CallLimiter::Place> CallLimiter::Enter(grpc::ServerContextBase* context,
                                                      const google::protobuf::Message& request,
                                                      int64_t work) {
  const auto limit = messages_.find(request.GetDescriptor());
  if (limit != messages_.end()) {
    const auto size = static_cast<int64_t>(request.ByteSizeLong());
    if (size > limit->second.bytes) {
      count_("message");
      // No later try could be smaller.
      return absl::InvalidArgumentError(absl::StrCat(limit->second.methods, ": a request of ", size,
                                                     " bytes, at most ", limit->second.bytes));
    }
  }
  return Enter(context, work);
}

absl::StatusOr<CallLimiter::Place> CallLimiter::Enter(grpc::ServerContextBase* context,
                                                      int64_t work) {
  Place place;
  const ClientLimits::Options& limits = limits_.options();
  if (limits.rate <= 0 && limits.concurrency <= 0) return place;
  place.client_ = ClientOf(*context);
  const std::string& client = place.client_;
  if (client.empty()) return place;
  work = std::max<int64_t>(1, work);
  place.work_ = work;
  const ClientLimits::Decision decision = limits_.Enter(client, SteadyTime::Now(), work);
  if (decision.refusal.empty()) {
    place.limiter_ = this;  // from here on it is given back; what follows does not throw
    return place;
  }
  count_(decision.refusal);
  const std::string counts = work == 1 ? "" : absl::StrCat(" (this one counts as ", work, ")");
  if (decision.refusal == "concurrency") {
    return absl::ResourceExhaustedError(absl::StrCat("client ", client, ": at most ",
                                                     limits.concurrency, " calls in progress",
                                                     counts, "; wait for one of them"));
  }
  if (decision.refusal == "rate") {
    const int64_t wait_ms =
        absl::ToInt64Milliseconds(absl::Ceil(decision.wait, absl::Milliseconds(1)));
    context->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(wait_ms));
    return absl::ResourceExhaustedError(absl::StrCat("client ", client, ": more than ", limits.rate,
                                                     " calls per second", counts, "; try again in ",
                                                     wait_ms, " ms"));
  }
  return absl::ResourceExhaustedError("too many clients at once; try again later");
}

}  // namespace mellow::rpc
