#ifndef MELLOW_COMMON_RPC_CALLBACK_CALL_H_
#define MELLOW_COMMON_RPC_CALLBACK_CALL_H_

// Calls of gRPC's callback API that are answered later: no thread waits for the answer, so that
// what bounds them is the queue that they wait in. gRPC's own threads (two on a small machine) run
// the handlers, and whatever takes longer than a look at the request belongs to Workers.

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/steady_time.h"
#include "common/rpc/call_limiter.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "common/sync/workers.h"

namespace mellow::rpc {

// Whether somebody still waits for a call. Outlives the call. Thread-safe.
class CallerGone {
 public:
  void Set() { gone_->store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool operator()() const { return gone_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

// A unary call. Deletes itself when it is over.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // What a handler returns to gRPC: a call that `start(call)` sees to, if it has a `place`; the
  // error of either is the answer.
  template <typename Start>
  static UnaryCall* Make(const grpc::CallbackServerContext& context,
                         absl::StatusOr<CallLimiter::Place> place, const Start& start) {
    auto* call = new UnaryCall(context);
    absl::Status status = place.status();
    if (status.ok()) {
      call->place_ = *std::move(place);
      status = start(call);
    }
    if (!status.ok()) call->Answer(status);
    return call;
  }

  [[nodiscard]] SteadyTime deadline() const { return deadline_; }
  [[nodiscard]] const CallerGone& gone() const { return gone_; }
  // Once, from any thread, also when the caller has gone: context, request and response live until
  // then and no longer. May write to the network: not from a thread that others wait for.
  void Answer(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

 private:
  explicit UnaryCall(const grpc::CallbackServerContext& context) : deadline_(DeadlineOf(context)) {}

  void OnCancel() override { gone_.Set(); }
  void OnDone() override { delete this; }

  const SteadyTime deadline_;
  CallerGone gone_;
  CallLimiter::Place place_;
};

// A stream of responses to one request, pulled: there is at most one message of it, however slowly
// the caller reads, and the next one says what is new by then.
template <typename Response>
class PulledStream final : public grpc::ServerWriteReactor<Response> {
 public:
  // What `pull` found.
  struct Next {
    enum {
      kNothing,  // to be asked again after the next Poke
      kMessage,  // the response was filled
      kLast,     // the same, and the stream ends with it
      kEnd,      // the stream ends with `status`
    } kind = kNothing;
    absl::Status status;
  };
  // Called in one of the workers, never twice at a time, and not again after the end.
  using Pull = std::function<Next(Response*)>;

  // What a handler returns to gRPC: a stream that `start(stream)` sees to, if it has a `place`; the
  // error of either is its end. `workers` must outlive it.
  template <typename Start>
  static PulledStream* Make(const grpc::CallbackServerContext& context, Workers* workers,
                            absl::StatusOr<CallLimiter::Place> place, const Start& start) {
    auto stream = std::shared_ptr<PulledStream>(new PulledStream(context, workers));
    stream->self_ = stream;
    absl::Status status = place.status();
    if (status.ok()) {
      stream->place_ = *std::move(place);
      status = start(stream);
    }
    if (!status.ok()) stream->End(status);
    return stream.get();
  }
  // Begins to pull; before it Poke has no effect. Once, instead of which the stream may only End.
  void Begin(Pull pull) {
    pull_ = std::move(pull);
    {
      MutexLock lock(&mutex_);
      state_ = State::kIdle;
    }
    Poke();
  }
  void End(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }

  [[nodiscard]] SteadyTime deadline() const { return deadline_; }
  [[nodiscard]] const CallerGone& gone() const { return gone_; }

  // There may be something to pull. From any thread, also after the end; never blocks.
  void Poke() {
    {
      MutexLock lock(&mutex_);
      poked_ = true;
      if (state_ != State::kIdle) return;
      state_ = State::kPulling;
    }
    PullSoon();
  }

 private:
  enum class State { kNotBegun, kIdle, kPulling, kWriting, kEnded };

  PulledStream(const grpc::CallbackServerContext& context, Workers* workers)
      : deadline_(DeadlineOf(context)), workers_(workers) {}

  void PullSoon() {
    workers_->Add(Workers::Urgency::kAnswer, [stream = self_] { stream->PullNow(); });
  }
  void PullNow() {
    while (true) {
      {
        MutexLock lock(&mutex_);
        poked_ = false;
      }
      response_.Clear();
      const Next next = pull_(&response_);
      {
        MutexLock lock(&mutex_);
        if (next.kind == Next::kNothing) {
          if (poked_) continue;
          state_ = State::kIdle;
          return;
        }
        state_ = next.kind == Next::kMessage ? State::kWriting : State::kEnded;
      }
      if (next.kind == Next::kMessage) {
        this->StartWrite(&response_);
      } else if (next.kind == Next::kLast) {
        this->StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
      } else {
        End(next.status);
      }
      return;
    }
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(&mutex_);
      if (state_ == State::kEnded) return;  // by the last message
      state_ = ok ? State::kPulling : State::kEnded;
    }
    if (ok) return PullSoon();
    gone_.Set();
    End(absl::CancelledError("the caller closed the stream"));
  }
  void OnCancel() override {
    gone_.Set();
    Poke();
  }
  void OnDone() override {
    place_ = {};  // others may have the stream for longer
    const auto last = std::move(self_);
  }

  const SteadyTime deadline_;
  Workers* const workers_;
  Pull pull_;
  Response response_;
  CallerGone gone_;
  CallLimiter::Place place_;
  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kNotBegun;
  bool poked_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<PulledStream> self_;  // until gRPC is done with it
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CALLBACK_CALL_H_
