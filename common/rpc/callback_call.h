#ifndef MELLOW_COMMON_RPC_CALLBACK_CALL_H_
#define MELLOW_COMMON_RPC_CALLBACK_CALL_H_

// Calls of gRPC's callback API that are answered later: no thread waits for the answer, so that
// what bounds them is the queue that they wait in. gRPC's own threads (two on a small machine) run
// the handlers, and whatever takes longer than a look at the request belongs to Workers. Memory
// that ends anywhere in a call is that call's RESOURCE_EXHAUSTED: to gRPC a handler that throws is
// a method that it does not know, which nobody repeats.

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/status.h"
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

// What a handler returns when there was no memory for the call itself.
template <typename Reactor>
class EndedCall final : public Reactor {
 public:
  explicit EndedCall(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }

 private:
  void OnDone() override { delete this; }
};

// A unary call. Deletes itself when it is over.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // What a handler returns to gRPC: a call that `start(call)` sees to, if `enter()` gives it a
  // place; what either returns or throws is the answer. `start` hands the call on as its last act.
  template <typename Enter, typename Start>
  static grpc::ServerUnaryReactor* Make(const grpc::CallbackServerContext& context,
                                        const Enter& enter, const Start& start) {
    UnaryCall* call = nullptr;
    const absl::Status status = Caught([&]() -> absl::Status {
      call = new UnaryCall(context);
      MELLOW_ASSIGN_OR_RETURN(call->place_, enter());
      return start(call);
    });
    if (call == nullptr) return new EndedCall<grpc::ServerUnaryReactor>(status);
    if (!status.ok()) call->Answer(status);
    return call;
  }

  [[nodiscard]] SteadyTime deadline() const { return deadline_; }
  [[nodiscard]] const CallerGone& gone() const { return gone_; }
  // Once, from any thread, also when the caller has gone: context, request and response live until
  // then and no longer. May write to the network: not from a thread that others wait for.
  void Answer(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

  // Goes on in one of the workers, which must outlive the call, unless the caller has gone. What
  // `body` (-> absl::Status) returns or throws is the answer; OK: it has handed the call on.
  template <typename Body>
  void ContinueIn(Workers* workers, Workers::Urgency urgency, Body body) {
    workers->Add(urgency, [this, body = std::move(body)] {
      const absl::Status status = Caught([&]() -> absl::Status {
        if (gone_()) return absl::CancelledError("the caller cancelled");
        return body();
      });
      if (!status.ok()) Answer(status);
    });
  }
  // The answer is what `body` (-> absl::Status) returns or throws in one of the workers, or that
  // memory has ended. From a thread that others wait for; neither moving `body` nor this throws.
  template <typename Body>
  void AnswerIn(Workers* workers, Body body) noexcept {
    try {
      workers->Add(Workers::Urgency::kAnswer,
                   [this, body = std::move(body)] { Answer(Caught(body)); });
    } catch (const std::bad_alloc&) {
      Answer(OutOfMemory());
    }
  }

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

  // What a handler returns to gRPC: a stream that `start(stream)` sees to, if `enter()` gives it a
  // place; what either returns or throws is its end. `start` begins the stream as its last act.
  // `workers` must outlive it.
  template <typename Enter, typename Start>
  static grpc::ServerWriteReactor<Response>* Make(const grpc::CallbackServerContext& context,
                                                  Workers* workers, const Enter& enter,
                                                  const Start& start) {
    std::shared_ptr<PulledStream> stream;
    const absl::Status status = Caught([&]() -> absl::Status {
      stream.reset(new PulledStream(context, workers));
      stream->self_ = stream;
      MELLOW_ASSIGN_OR_RETURN(stream->place_, enter());
      return start(stream);
    });
    if (stream == nullptr) return new EndedCall<grpc::ServerWriteReactor<Response>>(status);
    if (!status.ok()) stream->End(status);
    return stream.get();
  }
  // Begins to pull; before it Poke only counts. Once, instead of which the stream may only End.
  void Begin(Pull pull) {
    pull_ = std::move(pull);
    {
      MutexLock lock(&mutex_);
      state_ = State::kIdle;
    }
    Poke();
  }
  void End(const absl::Status& status) {
    gone_.Set();
    this->Finish(ToGrpcStatus(status));
  }

  [[nodiscard]] SteadyTime deadline() const { return deadline_; }
  [[nodiscard]] const CallerGone& gone() const { return gone_; }

  // There may be something to pull. From any thread, also after the end; never blocks.
  void Poke() noexcept {
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

  void PullSoon() noexcept {
    try {
      workers_->Add(Workers::Urgency::kAnswer, [stream = self_] { stream->PullNow(); });
    } catch (const std::bad_alloc&) {
      {
        MutexLock lock(&mutex_);
        state_ = State::kEnded;
      }
      End(OutOfMemory());
    }
  }
  void PullNow() {
    while (true) {
      {
        MutexLock lock(&mutex_);
        poked_ = false;
      }
      Next next;
      const absl::Status status = Caught([&] {
        response_.Clear();
        next = pull_(&response_);
        return absl::OkStatus();
      });
      if (!status.ok()) next = {Next::kEnd, status};
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
    End(Caught(
        []() -> absl::Status { return absl::CancelledError("the caller closed the stream"); }));
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
