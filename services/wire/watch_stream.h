#ifndef MELLOW_SERVICES_WIRE_WATCH_STREAM_H_
#define MELLOW_SERVICES_WIRE_WATCH_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "common/rpc/stream_guard.h"

namespace mellow::wire {

// A WatchSink whose events are messages of a stream. `Response` is a oneof of `step`, `activity`
// and `ended`, which the service's ToProto fills.
template <typename Sink, typename Response>
class WatchStream final : public Sink {
 public:
  // All must outlive it.
  WatchStream(rpc::StreamGuard* guard, grpc::ServerContext* context,
              grpc::ServerWriter<Response>* writer)
      : guard_(guard), context_(context), writer_(writer) {}

  bool OnStep(const typename Sink::Step& step) override {
    Response response;
    ToProto(step, response.mutable_step());
    return guard_->Write(context_, writer_, response);
  }
  bool OnActivity(const std::string& activity) override {
    Response response;
    response.set_activity(activity);
    return guard_->Write(context_, writer_, response);
  }
  bool OnEnded(const typename Sink::Ended& run) override {
    Response response;
    ToProto(run, response.mutable_ended());
    return guard_->Write(context_, writer_, response);
  }
  bool cancelled() const override { return context_->IsCancelled(); }

 private:
  rpc::StreamGuard* const guard_;
  grpc::ServerContext* const context_;
  grpc::ServerWriter<Response>* const writer_;
};

// What the handler of a watch answers: `watch(&sink)`, or INVALID_ARGUMENT for a step below -1.
template <typename Sink, typename Response, typename Watch>
[[nodiscard]] grpc::Status AnswerWatch(rpc::StreamGuard* guard, grpc::ServerContext* context,
                                       grpc::ServerWriter<Response>* writer, int after_step,
                                       const Watch& watch) {
  if (after_step < -1)
    return rpc::ToGrpcStatus(absl::InvalidArgumentError(
        absl::StrCat("after_step: ", after_step, ": must be at least -1")));
  return guard->During([&] {
    WatchStream<Sink, Response> sink(guard, context, writer);
    return watch(&sink);
  });
}

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_WATCH_STREAM_H_
