#include "services/review/review_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "common/obs/log.h"
#include "common/review/token.h"
#include "services/review/web_files.h"

namespace mellow::review {
namespace {

using json::Value;

constexpr size_t kLongestClient = 32;
// A page follows our clock; this much it may be wrong about the time that an answer took.
constexpr absl::Duration kClockTolerance = absl::Hours(1);

http::Response JsonResponse(int status, const Value& value) {
  return {.status = status,
          .headers = {{"content-type", "application/json; charset=utf-8"}},
          .body = json::Write(value)};
}

http::Response ErrorResponse(int status, const char* code, absl::string_view sentence) {
  http::Response response = JsonResponse(status, {{"error", sentence}, {"code", code}});
  if (status == 429 || status == 503) response.headers["retry-after"] = "1";
  return response;
}

const char* ContentType(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

http::Response FileResponse(int status, const std::string& name) {
  return {.status = status,
          .headers = {{"content-type", ContentType(name)}},
          .body = std::string(WebFiles().at(name))};
}

// A page that says one thing, in place of the study. Its texts need no escaping.
struct Message {
  const char* title;
  const char* what;
  const char* answers;  // what became of them
};
constexpr Message kNoAccess = {
    "This link does not work",
    "It may be incomplete, or it was replaced or switched off. Please use the newest link that you "
    "got, or ask whoever invited you.",
    "Answers that were saved stay saved."};
constexpr Message kUnavailable = {
    "Not available right now",
    "The study cannot be read at the moment. Please load this page again in a minute.",
    "Nothing that was saved is lost."};

http::Response MessagePage(int status, const Message& message) {
  http::Response response = FileResponse(status, "message.html");
  response.body = absl::StrReplaceAll(
      response.body,
      {{"{{TITLE}}", message.title}, {"{{WHAT}}", message.what}, {"{{ANSWERS}}", message.answers}});
  return response;
}

// What a person may know of an error of the store; the rest is for the log.
http::Response StoreError(const absl::Status& status, const std::string& route) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return ErrorResponse(400, "bad_request", status.message());
    case absl::StatusCode::kNotFound:
      return ErrorResponse(404, "not_found", status.message());
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      obs::Log(obs::Severity::kWarning, "the study cannot be used now",
               {{"route", route}, {"error", status.ToString()}});
      return ErrorResponse(503, "unavailable", "the study cannot be used right now; try again");
    default:
      obs::Log(obs::Severity::kError, "the study cannot be used",
               {{"route", route}, {"error", status.ToString()}});
      return ErrorResponse(500, "broken",
                           "the study's file is damaged; please tell who invited you");
  }
}

Value ToJson(const Answer& answer) {
  return {{"value", answer.value},
          {"sequence", answer.version.sequence},
          {"client", answer.version.client}};
}

absl::StatusOr<int64_t> IntField(const Value& object, const char* name, int64_t low, int64_t high) {
  int64_t value = 0;
  if (!object.Get(name, &value))
    return absl::InvalidArgumentError(absl::StrCat(name, ": a whole number is needed"));
  if (value < low || value > high)
    return absl::InvalidArgumentError(absl::StrCat(name, " ", value, ": ", low, " to ", high));
  return value;
}

absl::StatusOr<std::string> TextField(const Value& object, const char* name) {
  std::string text;
  if (object.Get(name, &text)) return text;
  return absl::InvalidArgumentError(absl::StrCat(name, ": a string is needed"));
}

absl::StatusOr<SaveRequest> ParseSave(const std::string& body, absl::Time now) {
  const absl::StatusOr<Value> object = json::ParseObject(body, "the body");
  if (!object.ok()) return absl::InvalidArgumentError("the body must be a JSON object");
  if (object->size() != 5)
    return absl::InvalidArgumentError(
        "the fields are position, question, value, sequence and client");
  SaveRequest save;
  MELLOW_ASSIGN_OR_RETURN(save.position, IntField(*object, "position", 0, INT32_MAX));
  MELLOW_ASSIGN_OR_RETURN(const std::string name, TextField(*object, "question"));
  const std::optional<Question> question = QuestionByName(name);
  if (!question.has_value())
    return absl::InvalidArgumentError(
        "question: one of readability_first, readability_second, coherence_first, "
        "coherence_second, preference, more_offensive");
  save.question = *question;
  MELLOW_ASSIGN_OR_RETURN(const int64_t value, IntField(*object, "value", INT32_MIN, INT32_MAX));
  MELLOW_RETURN_IF_ERROR(CheckValue(save.question, value));
  save.answer.value = static_cast<int>(value);
  MELLOW_ASSIGN_OR_RETURN(
      save.answer.version.sequence,
      IntField(*object, "sequence", 1, absl::ToUnixMillis(now + kClockTolerance)));
  MELLOW_ASSIGN_OR_RETURN(save.answer.version.client, TextField(*object, "client"));
  const std::string& client = save.answer.version.client;
  if (client.empty() || client.size() > kLongestClient ||
      !std::all_of(client.begin(), client.end(), absl::ascii_isalnum))
    return absl::InvalidArgumentError(
        absl::StrCat("client: 1 to ", kLongestClient, " letters and digits"));
  return save;
}

bool Reads(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

http::Response WrongMethod() { return ErrorResponse(405, "method", "this method is not for here"); }

}  // namespace

http::Headers SecurityHeaders() {
  return {{"Content-Security-Policy",
           "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
           "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
          {"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Cache-Control", "no-store"},
          {"X-Robots-Tag", "noindex, nofollow"}};
}

ReviewService::ReviewService(StudyStore* store, ReviewServiceOptions options, obs::Metrics* metrics)
    : store_(store),
      options_(std::move(options)),
      metrics_(metrics),
      limiter_(options_.requests_per_second, options_.burst),
      stored_(metrics->AddCounter("mellow_review_answers_total",
                                  "Answers that came in, by what became of them.",
                                  {{"result", "stored"}})),
      superseded_(metrics->AddCounter("mellow_review_answers_total",
                                      "Answers that came in, by what became of them.",
                                      {{"result", "superseded"}})) {}

http::Response ReviewService::Handle(const http::Request& request) {
  const SteadyTime begin = SteadyTime::Now();
  std::string route = "other";
  http::Response response = Route(request, &route);
  // Never the path: it holds the token.
  obs::Log(obs::Severity::kDebug, "request",
           {{"method", request.method}, {"route", route}, {"status", response.status}});
  metrics_
      ->AddHistogram("mellow_review_http_seconds", "Time to answer a request.",
                     obs::LatencyBounds(), {{"route", route}})
      .Observe(absl::ToDoubleSeconds(SteadyTime::Now() - begin));
  metrics_
      ->AddCounter("mellow_review_http_handled_total", "Requests answered, by HTTP status.",
                   {{"route", route}, {"code", absl::StrCat(response.status)}})
      .Increment();
  return response;
}

http::Response ReviewService::Route(const http::Request& request, std::string* route) {
  absl::string_view path = request.path;
  if (path == "/healthz") {
    *route = "healthz";
    if (!Reads(request)) return WrongMethod();
    const absl::Status status = store_->Info().status();
    if (!status.ok()) return StoreError(status, *route);
    return {.body = "ok\n"};
  }
  if (absl::ConsumePrefix(&path, "/static/")) {
    *route = "static";
    const std::string name(path);
    if (WebFiles().count(name) == 0 || absl::EndsWith(name, ".html"))
      return ErrorResponse(404, "not_found", "no such file");
    return Reads(request) ? FileResponse(200, name) : WrongMethod();
  }
  if (absl::ConsumePrefix(&path, "/r/")) {
    const size_t slash = std::min(path.find('/'), path.size());
    return Person(request, path.substr(0, slash), path.substr(slash), route);
  }
  return MessagePage(404, kNoAccess);
}

http::Response ReviewService::Person(const http::Request& request, absl::string_view token,
                                     absl::string_view rest, std::string* route) {
  if (rest == "/") rest = "";  // some programs add one to a link
  *route = rest.empty()                        ? "page"
           : rest == "/study"                  ? "study"
           : rest == "/answers"                ? "answers"
           : absl::StartsWith(rest, "/items/") ? "item"
                                               : "other";
  const bool page = *route == "page";
  const absl::StatusOr<int64_t> annotator = store_->Authenticate(token);
  if (absl::IsNotFound(annotator.status())) {
    return page ? MessagePage(404, kNoAccess)
                : ErrorResponse(404, "no_access", "this link does not work");
  }
  if (!annotator.ok()) {
    http::Response response = StoreError(annotator.status(), *route);
    if (!page) return response;
    http::Response shown = MessagePage(response.status, kUnavailable);
    shown.headers.merge(response.headers);
    return shown;
  }
  if (!limiter_.Allow(*annotator, options_.steady_clock()))
    return ErrorResponse(429, "too_many", "too many requests; wait a second");
  if (*route == "answers")
    return request.method == "POST" ? Save(*annotator, request) : WrongMethod();
  if (!Reads(request)) return WrongMethod();
  if (page) return FileResponse(200, "review.html");
  if (*route == "study") return Study(*annotator, token);
  if (absl::ConsumePrefix(&rest, "/items/")) return Item(*annotator, rest);
  return ErrorResponse(404, "not_found", "no such address");
}

http::Response ReviewService::Study(int64_t annotator, absl::string_view token) {
  const absl::StatusOr<std::vector<Sheet>> sheets = store_->Sheets(annotator);
  if (!sheets.ok()) return StoreError(sheets.status(), "study");
  Value list = Value::MakeArray();
  for (const Sheet& sheet : *sheets) {
    Value answers = Value::MakeObject();
    for (const Question question : AllQuestions()) {
      if (sheet[question].has_value())
        answers.Set(QuestionName(question), ToJson(*sheet[question]));
    }
    list.Append(std::move(answers));
  }
  // Under that name a browser keeps what is not saved yet; the token cannot be told from it.
  const std::string page = TokenHash(absl::StrCat("page of ", token)).substr(0, 16);
  Value questions = Value::MakeArray();
  for (const Question question : AllQuestions().subspan(0, store_->questions()))
    questions.Append(QuestionName(question));
  return JsonResponse(200, {{"now", absl::ToUnixMillis(options_.clock())},
                            {"page", page},
                            {"questions", std::move(questions)},
                            {"sheets", std::move(list)}});
}

http::Response ReviewService::Item(int64_t annotator, absl::string_view position) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(position, &number) || number < 0)
    return ErrorResponse(404, "not_found", "no such item");
  const absl::StatusOr<ShownItem> item = store_->ReadItem(annotator, number);
  if (!item.ok()) return StoreError(item.status(), "item");
  return JsonResponse(200, {{"now", absl::ToUnixMillis(options_.clock())},
                            {"dialogue", item->dialogue},
                            {"first", item->first},
                            {"second", item->second}});
}

http::Response ReviewService::Save(int64_t annotator, const http::Request& request) {
  const auto type = request.headers.find("content-type");
  if (type == request.headers.end() || !absl::StartsWith(type->second, "application/json"))
    return ErrorResponse(415, "bad_request", "content-type: application/json is needed");
  const absl::Time now = options_.clock();
  const absl::StatusOr<SaveRequest> save = ParseSave(request.body, now);
  if (!save.ok()) return StoreError(save.status(), "answers");
  const absl::StatusOr<Answer> answer = store_->Save(annotator, *save, now);
  if (!answer.ok()) return StoreError(answer.status(), "answers");
  (answer->version == save->answer.version ? stored_ : superseded_).Increment();
  return JsonResponse(200, {{"now", absl::ToUnixMillis(now)},
                            {"position", save->position},
                            {"question", QuestionName(save->question)},
                            {"answer", ToJson(*answer)}});
}

}  // namespace mellow::review
