#ifndef MELLOW_COMMON_RPC_STREAM_GUARD_H_
#define MELLOW_COMMON_RPC_STREAM_GUARD_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <list>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"

namespace mellow::rpc {

// Looks after synchronous streams of responses that go on for long: each holds a thread and what it
// has read to send, for as long as its reader does not read. Thread-safe.
class StreamGuard {
 public:
  // A reader that takes no message for `patience` is cut off. At most `max_streams` at a time: the
  // server's threads are needed for other calls too.
  StreamGuard(absl::Duration patience, int max_streams);
  ~StreamGuard();

  // What a handler of such a stream answers: as rpc::Answer(body), while it counts as a stream.
  // ResourceExhausted: too many streams; what CutAll said, after it.
  template <typename Body>
  [[nodiscard]] grpc::Status During(const Body& body) {
    if (absl::Status full = Enter(); !full.ok()) return ToGrpcStatus(full);
    const grpc::Status status = Answer(body);
    Leave();
    return status;
  }

  // False: the reader is gone, or was cut off: its call then ends with ResourceExhausted or with
  // what CutAll said, whatever the handler returns.
  template <typename Response>
  [[nodiscard]] bool Write(grpc::ServerContext* context, grpc::ServerWriter<Response>* writer,
                           const Response& response) {
    const Writing writing(this, context);
    return writer->Write(response);
  }

  // Ends every Write, now and from now on, so that handlers return: a drain does not wait for
  // readers that do not read.
  void CutAll(const absl::Status& why);

 private:
  struct Open {
    grpc::ServerContext* context;
    SteadyTime since;
  };
  // A write in progress.
  class Writing {
   public:
    Writing(StreamGuard* guard, grpc::ServerContext* context);
    ~Writing();

   private:
    StreamGuard* const guard_;
    std::list<Open>::iterator at_;
  };

  absl::Status Enter();
  void Leave();
  void Loop();

  const absl::Duration patience_;
  const int max_streams_;
  Mutex mutex_;
  CondVar stopped_;
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<Open> writes_ ABSL_GUARDED_BY(mutex_);  // the oldest first
  absl::Status cut_ ABSL_GUARDED_BY(mutex_);        // not OK: CutAll was called
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: joined first
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_STREAM_GUARD_H_
