// What strangers send to the review server: an answer, an address behind a person's page, any
// request at all. It never fails, gives no token away, and shows what it stored.

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/json/value.h"
#include "common/obs/log.h"
#include "services/review/review_service.h"
#include "tests/common/review/study_fixture.h"
#include "tests/fuzz/input.h"

namespace mellow::review {
namespace {

class Site {
 public:
  http::Response Send(const http::Request& request) {
    http::Response response = service_.Handle(request);
    Require(response.status == 200 || response.status == 400 || response.status == 404 ||
                response.status == 405 || response.status == 415,
            "the request is at fault");
    Require(!absl::StrContains(response.body, file_.invitations[0].token), "tokens are not shown");
    const auto type = response.headers.find("content-type");
    if (type != response.headers.end() && absl::StartsWith(type->second, "application/json"))
      Require(json::ParseObject(response.body, "").ok(), "what is said to be JSON is JSON");
    return response;
  }
  // Behind the page of the person who is invited.
  std::string Page(absl::string_view rest) const {
    return absl::StrCat("/r/", file_.invitations[0].token, rest);
  }

  void Answer(const std::string& body) {
    const http::Response response = Send({.method = "POST",
                                          .path = Page("/answers"),
                                          .headers = {{"content-type", "application/json"}},
                                          .body = body});
    if (response.status != 200) return;
    const json::Value stored = json::Parse(response.body, "").value_or(json::Value());
    const http::Response study = Send({.method = "GET", .path = Page("/study")});
    const json::Value shown = json::Parse(study.body, "").value_or(json::Value());
    const auto position = static_cast<size_t>(stored["position"].number());
    Require(stored["answer"].is_object() &&
                shown["sheets"][position][stored["question"].string()] == stored["answer"],
            "the page shows what was stored");
  }

 private:
  StudyFile file_{MakeItems(3, 3), {"Ada"}};
  obs::Metrics metrics_;
  ReviewService service_{file_.store.get(),
                         {.requests_per_second = 1e9,
                          .burst = 1e9,
                          .clock = [] { return absl::FromUnixSeconds(1700000000); }},
                         &metrics_};
};

}  // namespace
}  // namespace mellow::review

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  static const bool quiet = obs::InitLog("review", "error").ok();
  Require(quiet, "the log is open");
  static review::Site site;
  const Chosen input = Choose(data, size, 3);
  // The server in front of it takes no larger body.
  if (input.bytes.size() > review::kMaxBodyBytes) return 0;
  if (input.kind == 0) {
    site.Answer(input.bytes);
  } else if (input.kind == 1) {
    (void)site.Send({.method = "GET", .path = site.Page(input.bytes)});
  } else {
    // METHOD, a blank, PATH, a line end, the body.
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(input.bytes, absl::MaxSplits('\n', 1));
    const std::pair<std::string, std::string> line =
        absl::StrSplit(parts.first, absl::MaxSplits(' ', 1));
    (void)site.Send({.method = line.first,
                     .path = line.second,
                     .headers = {{"content-type", "application/json"}},
                     .body = parts.second});
  }
  return 0;
}
