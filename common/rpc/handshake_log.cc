#include "common/rpc/handshake_log.h"

#include <grpc/support/log.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/obs/log.h"
#include "common/sync/mutex.h"

namespace mellow::rpc {

struct HandshakeWatches {
  Mutex mutex;
  std::set<const HandshakeWatch*> all ABSL_GUARDED_BY(mutex);

  static HandshakeWatches& Get() {
    static auto* watches = new HandshakeWatches();  // gRPC may log until the process ends
    return *watches;
  }

  // Once; gRPC has no way back that would be safe while its threads log.
  static void TakeLog() {
    static const bool taken = [] {
      // The message about a failed handshake is one for debugging.
      gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
      gpr_set_log_function(&HandshakeWatches::OnLog);
      return true;
    }();
    (void)taken;
  }

  static void OnLog(gpr_log_func_args* args) {
    const absl::string_view message = args->message;
    if (absl::StrContains(args->file, "chttp2_server") &&
        absl::StartsWith(message, "Handshaking failed")) {
      HandshakeWatches& watches = Get();
      MutexLock lock(&watches.mutex);
      for (const HandshakeWatch* watch : watches.all) watch->failed_();
      return;
    }
    // What a peer did wrong is counted; anybody could fill the log with it.
    if (args->severity < GPR_LOG_SEVERITY_ERROR ||
        absl::StrContains(args->file, "ssl_transport_security") ||
        absl::StrContains(args->file, "tls_security_connector"))
      return;
    obs::Log(obs::Severity::kError, "gRPC",
             {{"error", message}, {"at", absl::StrCat(args->file, ":", args->line)}});
  }
};

HandshakeWatch::HandshakeWatch(std::function<void()> failed) : failed_(std::move(failed)) {
  HandshakeWatches& watches = HandshakeWatches::Get();
  {
    MutexLock lock(&watches.mutex);
    watches.all.insert(this);
  }
  HandshakeWatches::TakeLog();
}

HandshakeWatch::~HandshakeWatch() {
  HandshakeWatches& watches = HandshakeWatches::Get();
  MutexLock lock(&watches.mutex);
  watches.all.erase(this);
}

}  // namespace mellow::rpc
