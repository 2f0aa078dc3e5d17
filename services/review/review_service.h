#ifndef MELLOW_SERVICES_REVIEW_REVIEW_SERVICE_H_
#define MELLOW_SERVICES_REVIEW_REVIEW_SERVICE_H_

// The rating page over HTTP: validate, call the store, translate.
//
//   GET  /r/TOKEN             the page; it names no person, no arm and no token
//   GET  /r/TOKEN/study       {"now", "page", "sheets": [{QUESTION: ANSWER, ...}, ...]}
//   GET  /r/TOKEN/items/N     {"now", "dialogue", "first", "second"}; N is a position, from 0
//   POST /r/TOKEN/answers     {"position", "question", "value", "sequence", "client"}
//                             -> {"now", "position", "question", "answer": ANSWER}: what is stored,
//                             which is a newer answer where there was one
//   GET  /static/FILE         script, style, icon
//   GET  /healthz             200 when the study can be read
//
// ANSWER is {"value", "sequence", "client"}; `now` is the server's clock in milliseconds, from
// which a page takes its sequences (answer.h). Errors are {"error": SENTENCE, "code": WORD}:
//   no_access (404)  the token is unknown or revoked; which of the two is not said
//   bad_request (400), not_found (404), method (405), too_many (429, Retry-After)
//   unavailable (503, Retry-After)  locked or full: nothing was stored, try again
//   broken (500)     the study's file is damaged; the log says how

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "common/base/steady_time.h"
#include "common/http/http.h"
#include "common/obs/metrics.h"
#include "common/review/study_store.h"
#include "services/review/rate_limiter.h"

namespace mellow::review {

struct ReviewServiceOptions {
  double requests_per_second = 10;  // of one person
  double burst = 60;
  // The time of day, which browsers and exports see.
  std::function<absl::Time()> clock = [] { return absl::Now(); };
  // What the limit of requests counts by.
  std::function<SteadyTime()> steady_clock = [] { return SteadyTime::Now(); };
};

// Headers of every response: only this origin's own scripts and styles run, nothing may frame the
// page, and neither the address (it holds the token) nor the content is kept or passed on.
[[nodiscard]] http::Headers SecurityHeaders();

inline constexpr size_t kMaxBodyBytes = 4096;

// Thread-safe. What it is given must outlive it.
class ReviewService {
 public:
  ReviewService(StudyStore* store, ReviewServiceOptions options, obs::Metrics* metrics);

  [[nodiscard]] http::Response Handle(const http::Request& request);

 private:
  http::Response Route(const http::Request& request, std::string* route);
  http::Response Person(const http::Request& request, absl::string_view token,
                        absl::string_view rest, std::string* route);
  http::Response Study(int64_t annotator, absl::string_view token);
  http::Response Item(int64_t annotator, absl::string_view position);
  http::Response Save(int64_t annotator, const http::Request& request);

  StudyStore* const store_;
  const ReviewServiceOptions options_;
  obs::Metrics* const metrics_;
  RateLimiter limiter_;
  const obs::Counter stored_;
  const obs::Counter superseded_;
};

}  // namespace mellow::review

#endif  // MELLOW_SERVICES_REVIEW_REVIEW_SERVICE_H_
