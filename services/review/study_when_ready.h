#ifndef MELLOW_SERVICES_REVIEW_STUDY_WHEN_READY_H_
#define MELLOW_SERVICES_REVIEW_STUDY_WHEN_READY_H_

// The rating page of a study that may not be there yet.

#include <memory>
#include <string>

#include "common/http/http.h"
#include "common/obs/metrics.h"
#include "common/sync/mutex.h"
#include "services/review/review_service.h"

namespace mellow::review {

// Thread-safe. `metrics` must outlive it.
class StudyWhenReady {
 public:
  StudyWhenReady(std::string path, ReviewServiceOptions options, obs::Metrics* metrics);

  // Opens the study, unless it is open; the service lives as long as this object. NotFound: there
  // is no file. Else as StudyStore::Open.
  [[nodiscard]] absl::StatusOr<ReviewService*> Open();

  // The service's answer once there is a study; looks for one at every request until then. Without
  // one, /healthz is 200 (there is nothing wrong), everything else 503.
  [[nodiscard]] http::Response Handle(const http::Request& request);

 private:
  const std::string path_;
  const ReviewServiceOptions options_;
  obs::Metrics* const metrics_;
  Mutex mutex_;
  std::unique_ptr<StudyStore> store_ ABSL_GUARDED_BY(mutex_);
  // Set once and then never changed: calls into it need no lock.
  std::unique_ptr<ReviewService> service_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::review

#endif  // MELLOW_SERVICES_REVIEW_STUDY_WHEN_READY_H_
