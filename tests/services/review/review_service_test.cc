#include "services/review/review_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/common/review/study_fixture.h"

namespace mellow::review {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

// A server on a free port, over a study of two people who share three items.
class ReviewServiceTest : public ::testing::Test {
 protected:
  ReviewServiceTest() : file_(MakeItems(3, 3), {"Ada", "Grace"}) {
    service_ = std::make_unique<ReviewService>(
        file_.store.get(),
        ReviewServiceOptions{
            .requests_per_second = 1000, .burst = 1000, .clock = [this] { return now_; }},
        &metrics_);
    auto server =
        http::Server::Start({.max_body_bytes = kMaxBodyBytes, .headers = SecurityHeaders()},
                            [this](const http::Request& r) { return service_->Handle(r); });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  http::Response Send(const http::Request& request) {
    auto response = http::Call(server_->address(), request, absl::Seconds(20));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : http::Response{.status = 0};
  }
  http::Response Get(const std::string& path) { return Send({.method = "GET", .path = path}); }
  std::string Page(size_t person) { return "/r/" + file_.invitations[person].token; }
  http::Response Post(const std::string& body, const std::string& type = "application/json") {
    return Send({.method = "POST",
                 .path = Page(0) + "/answers",
                 .headers = {{"content-type", type}},
                 .body = body});
  }
  Json MakeSave(int value, int64_t sequence) {
    return {{"position", 1},
            {"question", "coherence_first"},
            {"value", value},
            {"sequence", sequence},
            {"client", "abc"}};
  }
  size_t Stored() { return file_.store->Reviewed()->size(); }

  absl::Time now_ = absl::FromUnixSeconds(1700000000);
  StudyFile file_;
  obs::Metrics metrics_;
  std::unique_ptr<ReviewService> service_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(ReviewServiceTest, ServesThePageItsFilesAndHealth) {
  const http::Response page = Get(Page(0));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("review.js"));
  EXPECT_EQ(Get(Page(0) + "/").body, page.body);
  EXPECT_EQ(Get("/static/review.js").headers.at("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(Get("/static/review.css").headers.at("content-type"), "text/css; charset=utf-8");
  EXPECT_EQ(Get("/static/icon.svg").headers.at("content-type"), "image/svg+xml");
  EXPECT_EQ(Get("/static/none.js").status, 404);
  EXPECT_EQ(Get("/healthz").body, "ok\n");
  EXPECT_EQ(Send({.method = "HEAD", .path = Page(0)}).status, 200);
}

TEST_F(ReviewServiceTest, EveryAnswerHasTheSecurityHeaders) {
  for (const http::Response& response :
       {Get(Page(0)), Get(Page(0) + "/study"), Get("/nothing"), Get("/static/review.js"), Post("{"),
        Post(std::string(kMaxBodyBytes + 1, 'x')), Get("/healthz")}) {
    for (const auto& [name, value] : SecurityHeaders())
      EXPECT_EQ(response.headers.at(absl::AsciiStrToLower(name)), value) << response.status;
  }
}

TEST_F(ReviewServiceTest, ShowsSidesWithoutNamesAndTakesAnswers) {
  const Json item = Json::parse(Get(Page(0) + "/items/1").body);
  EXPECT_EQ(item.size(), 4U);
  const ShownItem shown = file_.store->ReadItem(file_.Person(0), 1).value();
  EXPECT_EQ(item["dialogue"], shown.dialogue);
  EXPECT_EQ(item["first"], shown.first);
  EXPECT_EQ(item["second"], shown.second);
  EXPECT_EQ(item["now"], 1700000000000);

  const http::Response saved = Post(MakeSave(4, 7).dump());
  ASSERT_EQ(saved.status, 200) << saved.body;
  EXPECT_EQ(Json::parse(saved.body),
            Json::parse(R"({"now": 1700000000000, "position": 1, "question": "coherence_first",
                            "answer": {"value": 4, "sequence": 7, "client": "abc"}})"));
  const Json study = Json::parse(Get(Page(0) + "/study").body);
  EXPECT_EQ(study["sheets"].size(), 3U);
  EXPECT_EQ(study["questions"].size(), 6U);
  EXPECT_EQ(study["questions"][5], "more_offensive");
  EXPECT_EQ(study["sheets"][0], Json::object());
  EXPECT_EQ(study["sheets"][1]["coherence_first"]["value"], 4);
  // Nobody else sees it.
  EXPECT_EQ(Json::parse(Get(Page(1) + "/study").body)["sheets"][1], Json::object());
  EXPECT_NE(Json::parse(Get(Page(1) + "/study").body)["page"], study["page"]);
  // An older answer that comes later is told what is stored.
  EXPECT_EQ(Json::parse(Post(MakeSave(1, 6).dump()).body)["answer"]["value"], 4);
  EXPECT_THAT(metrics_.Text(), HasSubstr("mellow_review_answers_total{result=\"superseded\"} 1"));
}

TEST_F(ReviewServiceTest, ChecksEveryField) {
  const auto refuses = [this](const char* field, const Json& value, const char* part) {
    Json save = MakeSave(3, 5);
    save[field] = value;
    const http::Response response = Post(save.dump());
    EXPECT_EQ(response.status, 400) << save;
    EXPECT_THAT(response.body, HasSubstr(part)) << save;
    EXPECT_THAT(response.body, HasSubstr("bad_request"));
  };
  for (const Json& bad :
       {Json(-1), Json("1"), Json(1.5), Json(), Json(int64_t{1} << 40), Json::array()})
    refuses("position", bad, "position");
  for (const Json& bad : {Json(""), Json("coherence"), Json(3), Json("preference ")})
    refuses("question", bad, "question");
  for (const int bad : {0, 6, -5}) refuses("value", bad, "coherence_first");
  for (const Json& bad : {Json("3"), Json(true), Json(1e300), Json(UINT64_MAX)})
    refuses("value", bad, "value");
  for (const Json& bad :
       {Json(0), Json(-1), Json("5"), Json(UINT64_MAX), Json(1700000000000 + 3600001)})
    refuses("sequence", bad, "sequence");
  for (const Json& bad :
       {Json(""), Json("a b"), Json(std::string(33, 'a')), Json("\u00e4"), Json(5)})
    refuses("client", bad, "client");
  refuses("more", 1, "the fields are");
  for (const char* body : {"", "{", "[]", "null", "5", "\xff", "{\"position\": 1}"})
    EXPECT_EQ(Post(body).status, 400) << body;
  EXPECT_EQ(Post(MakeSave(3, 5).dump(), "text/plain").status, 415);
  EXPECT_EQ(Post(std::string(kMaxBodyBytes + 1, ' ')).status, 413);
  Json nowhere = MakeSave(3, 5);
  nowhere["position"] = 3;
  EXPECT_EQ(Post(nowhere.dump()).status, 404);
  EXPECT_EQ(Stored(), 0U);
}

TEST_F(ReviewServiceTest, OnlyTheRightMethod) {
  EXPECT_EQ(Get(Page(0) + "/answers").status, 405);
  for (const char* rest : {"", "/study", "/items/0"})
    EXPECT_EQ(Send({.method = "POST", .path = Page(0) + rest}).status, 405) << rest;
  EXPECT_EQ(Send({.method = "PUT", .path = Page(0) + "/answers"}).status, 405);
  EXPECT_EQ(Send({.method = "POST", .path = "/healthz"}).status, 405);
}

TEST_F(ReviewServiceTest, UnknownAndRevokedLinksLookTheSame) {
  const std::string unknown = "/r/" + std::string(32, '0');
  ASSERT_TRUE(file_.store->Revoke("Ada").ok());
  for (const char* rest : {"", "/study", "/items/0", "/answers", "/other"}) {
    const http::Response revoked = Get(Page(0) + rest);
    EXPECT_EQ(revoked.status, 404);
    EXPECT_EQ(revoked.body, Get(unknown + rest).body);
    EXPECT_EQ(revoked.body.find("{{"), std::string::npos);
  }
  for (const char* path : {"/", "/r/", "/r", "/r//study", "/r/%27%20or%201=1--"})
    EXPECT_EQ(Get(path).status, 404) << path;
  EXPECT_EQ(Get(Page(1)).status, 200);
}

TEST_F(ReviewServiceTest, TooManyRequestsOfOnePersonWaitAndOthersDoNot) {
  SteadyTime now;
  ReviewService limited(file_.store.get(),
                        {.requests_per_second = 1, .burst = 2, .steady_clock = [&] { return now; }},
                        &metrics_);
  const auto get = [&](size_t person) {
    return limited.Handle({.method = "GET", .path = Page(person) + "/study"});
  };
  EXPECT_EQ(get(0).status, 200);
  EXPECT_EQ(get(0).status, 200);
  const http::Response refused = get(0);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(get(1).status, 200);
  now += absl::Seconds(1);
  EXPECT_EQ(get(0).status, 200);
}

TEST_F(ReviewServiceTest, ALockedStudyIsUnavailableAndABrokenOneSaysSo) {
  {
    auto other = sqlite::Database::Open(file_.path()).value();
    auto transaction = sqlite::Transaction::Begin(other.get()).value();
    const http::Response locked = Post(MakeSave(3, 5).dump());
    EXPECT_EQ(locked.status, 503);
    EXPECT_EQ(locked.headers.at("retry-after"), "1");
    EXPECT_EQ(Json::parse(locked.body)["code"], "unavailable");
    EXPECT_EQ(locked.body.find(file_.path()), std::string::npos);
    EXPECT_EQ(Get(Page(0)).status, 200);
  }
  EXPECT_EQ(Post(MakeSave(3, 5).dump()).status, 200);
  {
    auto other = sqlite::Database::Open(file_.path()).value();
    ASSERT_TRUE(other->Execute("PRAGMA foreign_keys=OFF; DROP TABLE answers").ok());
  }
  const http::Response broken = Get(Page(0) + "/study");
  EXPECT_EQ(broken.status, 500);
  EXPECT_EQ(Json::parse(broken.body)["code"], "broken");
}

TEST_F(ReviewServiceTest, SavesOfManyConnectionsAtOnceAllArrive) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 12; ++i) {
          Json save = MakeSave(1 + (i + t) % 5, 100 * i + t + 1);
          save["position"] = i % 3;
          EXPECT_EQ(Post(save.dump()).status, 200);
        }
      });
    }
  }
  const auto sheets = file_.store->Sheets(file_.Person(0)).value();
  for (int position = 0; position < 3; ++position) {
    const auto& answer = sheets[position][Question::kCoherenceFirst];
    const int last = 9 + position;
    EXPECT_EQ(answer->version.sequence, 100 * last + 7 + 1);
    EXPECT_EQ(answer->value, 1 + (last + 7) % 5);
  }
}

TEST_F(ReviewServiceTest, MetricsNameRoutesAndNeverTokens) {
  (void)Get(Page(0));
  (void)Get("/r/" + std::string(32, '0'));
  (void)Get("/anything/else");
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("mellow_review_http_handled_total{code=\"200\",route=\"page\"} 1"));
  EXPECT_THAT(text, HasSubstr("route=\"other\""));
  EXPECT_EQ(text.find(file_.invitations[0].token), std::string::npos);
  EXPECT_EQ(text.find("anything"), std::string::npos);
}

}  // namespace
}  // namespace mellow::review
