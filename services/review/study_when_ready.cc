#include "services/review/study_when_ready.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace mellow::review {

StudyWhenReady::StudyWhenReady(std::string path, ReviewServiceOptions options,
                               obs::Metrics* metrics)
    : path_(std::move(path)), options_(std::move(options)), metrics_(metrics) {}

absl::StatusOr<ReviewService*> StudyWhenReady::Open() {
  MutexLock lock(&mutex_);
  if (service_ != nullptr) return service_.get();
  // `mellow review new` puts the file there complete.
  if (access(path_.c_str(), F_OK) != 0)
    return absl::NotFoundError(absl::StrCat("--study ", path_, ": no such file"));
  MELLOW_ASSIGN_OR_RETURN(store_, StudyStore::Open(path_));
  service_ = std::make_unique<ReviewService>(store_.get(), options_, metrics_);
  obs::Log(obs::Severity::kInfo, "study opened", {{"study", path_}});
  return service_.get();
}

http::Response StudyWhenReady::Handle(const http::Request& request) {
  const absl::StatusOr<ReviewService*> service = Open();
  if (!service.ok()) {
    const bool waiting = absl::IsNotFound(service.status());
    if (!waiting)
      obs::Log(obs::Severity::kError, "study", {{"error", service.status().ToString()}});
    if (waiting && request.path == "/healthz") return {.body = "no study yet\n"};
    return {.status = 503,
            .headers = {{"retry-after", "10"}, {"content-type", "text/plain; charset=utf-8"}},
            .body = waiting ? "There is no study yet. `mellow review new` makes one.\n"
                            : "The study cannot be read; the log says why.\n"};
  }
  return (*service)->Handle(request);
}

}  // namespace mellow::review
