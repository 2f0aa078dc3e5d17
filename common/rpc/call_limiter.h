#ifndef MELLOW_COMMON_RPC_CALL_LIMITER_H_
#define MELLOW_COMMON_RPC_CALL_LIMITER_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/refusal.h"
#include "common/rpc/status.h"
#include "common/rpc/token_table.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace mellow::rpc {

// Most bytes of a request, by "/package.Service/Method". gRPC has one limit per server, which is
// for the method that needs most and counts before a message is parsed; these count after it.
using MessageLimits = std::map<std::string, int64_t, std::less<>>;

// Limits every client of a server, whatever method it calls: each handler asks first, because gRPC
// lets nothing before a handler see the request and answer the call. Thread-safe.
class CallLimiter {
 public:
  // What a call has of its client's limits, until this goes. The limiter must outlive it.
  class Place {
   public:
    Place() = default;  // of a call that is not limited
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept {
      std::swap(limiter_, other.limiter_);
      std::swap(client_, other.client_);
      std::swap(work_, other.work_);
      return *this;
    }
    ~Place() {
      if (limiter_ != nullptr) limiter_->limits_.Leave(client_, work_);
    }

   private:
    friend class CallLimiter;
    CallLimiter* limiter_ = nullptr;
    std::string client_;
    int64_t work_ = 0;
  };

  // A client is who its token or certificate names, else an address. `tokens` may be null. Callers
  // with one of `exempt` roles are not limited, but for the size of their messages. `count` gets
  // "rate", "concurrency", "clients" or "message". Of `messages` those of methods that take one
  // message count; methods that share a type have the largest of theirs.
  CallLimiter(ClientLimits::Options options, std::shared_ptr<const TokenTable> tokens,
              std::set<std::string> exempt, CountRefusal count, const MessageLimits& messages = {});
  // One that refuses nothing.
  [[nodiscard]] static CallLimiter* None();

  // For a handler, before it does anything. `work`: what the call counts as; less than 1 is 1.
  // InvalidArgument names the method, the request's size and the limit.
  [[nodiscard]] absl::StatusOr<Place> Enter(grpc::ServerContextBase* context,
                                            const google::protobuf::Message& request,
                                            int64_t work = 1);
  // The same for a stream of requests.
  // ResourceExhausted names the client and its limit, and when to try again, also as the trailing
  // metadata grpc-retry-pushback-ms, which gRPC's retries obey.
  [[nodiscard]] absl::StatusOr<Place> Enter(grpc::ServerContextBase* context, int64_t work = 1);

  // What a synchronous handler answers: as rpc::Answer(body), when the call may go on.
  template <typename Body>
  [[nodiscard]] grpc::Status Answer(grpc::ServerContextBase* context,
                                    const google::protobuf::Message& request, const Body& body) {
    return AnswerAfter([&] { return Enter(context, request); }, body);
  }
  // The same for a stream of requests.
  template <typename Body>
  [[nodiscard]] grpc::Status Answer(grpc::ServerContextBase* context, const Body& body) {
    return AnswerAfter([&] { return Enter(context); }, body);
  }

 private:
  template <typename EnterCall, typename Body>
  [[nodiscard]] static grpc::Status AnswerAfter(const EnterCall& enter, const Body& body) {
    return rpc::Answer([&]() -> grpc::Status {
      const absl::StatusOr<Place> place = enter();
      return place.ok() ? rpc::Answer(body) : ToGrpcStatus(place.status());
    });
  }
  // "user/ann", else "10.0.0.1"; empty: exempt.
  std::string ClientOf(const grpc::ServerContextBase& context) const;

  ClientLimits limits_;
  const std::shared_ptr<const TokenTable> tokens_;
  const std::set<std::string> exempt_;
  const CountRefusal count_;
  struct OfType {
    std::string methods;  // that take it
    int64_t bytes = 0;
  };
  std::unordered_map<const google::protobuf::Descriptor*, OfType> messages_;  // by request type
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CALL_LIMITER_H_
