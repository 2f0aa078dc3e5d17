#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "common/base/token_bucket.h"
#include "common/obs/log.h"
#include "common/sync/mutex.h"

namespace mellow::rpc {
namespace {

constexpr double kLinesPerSecond = 1;
constexpr double kLinesAtOnce = 20;

struct Limit {
  Mutex mutex;
  TokenBucket bucket ABSL_GUARDED_BY(mutex){kLinesPerSecond, kLinesAtOnce, SteadyTime::Now()};
  int64_t left_out ABSL_GUARDED_BY(mutex) = 0;
};

void OnLog(gpr_log_func_args* args) {
  if (args->severity < GPR_LOG_SEVERITY_ERROR) return;
  static auto* limit = new Limit();  // gRPC may log until the process ends
  int64_t left_out;
  {
    MutexLock lock(&limit->mutex);
    if (!limit->bucket.Take(SteadyTime::Now())) {
      ++limit->left_out;
      return;
    }
    left_out = std::exchange(limit->left_out, 0);
  }
  obs::Log(obs::Severity::kError, "gRPC",
           {{"error", args->message},
            {"at", absl::StrCat(args->file, ":", args->line)},
            {"left_out_before", left_out}});
}

}  // namespace

void LogErrorsOfGrpc() {
  static const bool taken = [] {
    gpr_set_log_function(&OnLog);
    return true;
  }();
  (void)taken;
}

}  // namespace mellow::rpc
