// mellow review: makes a study from an evaluation, invites people, and shows what they said. The
// page itself is served by mellow_review_server.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/plural.h"
#include "common/base/status.h"
#include "common/base/utc.h"
#include "common/report/sections.h"
#include "common/review/export.h"
#include "common/review/study.h"
#include "common/review/study_store.h"
#include "common/review/summarize.h"
#include "common/review/token.h"
#include "services/cli/evaluate/document_text.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/json_lines.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr char kUrl[] = "http://127.0.0.1:8090";  // the server's own default

struct ReviewNewOptions {
  std::string evaluation;
  std::string out;
  std::vector<std::string> arms;
  int64_t items = 0;
  int annotators = 2;
  std::vector<std::string> names;
  double overlap = 0.2;
  std::optional<uint64_t> seed;
  std::string url = kUrl;
  bool json = false;
};

struct ReviewInviteOptions {
  std::string study;
  std::vector<std::string> names;
  bool renew = false;
  std::string url = kUrl;
  bool json = false;
};

struct ReviewShowOptions {
  std::string study;
  bool json = false;
  std::string format = "csv";
  bool texts = false;
  std::string out;
  stats::BootstrapOptions bootstrap;
};

void ShowInvitations(const std::vector<review::Invitation>& invitations, const std::string& url,
                     bool json) {
  const absl::string_view base = absl::StripSuffix(url, "/");
  std::vector<std::vector<std::string>> table = {{"person", "link"}};
  for (const review::Invitation& invitation : invitations) {
    const std::string link = absl::StrCat(base, "/r/", invitation.token);
    if (json) {
      std::printf("%s\n",
                  json::Write({{"annotator", invitation.annotator}, {"link", link}}).c_str());
    } else {
      table.push_back({invitation.annotator, link});
    }
  }
  if (!json) {
    std::printf(
        "%s\nWhoever has a link answers in that person's name. The links are shown only\n"
        "this once.\n",
        FormatTable(table).c_str());
  }
}

absl::StatusOr<int> ReviewNew(const ReviewNewOptions& options) {
  if (!options.arms.empty() && options.arms.size() != 2)
    return absl::InvalidArgumentError("--arms: two names, the baseline first");
  std::vector<std::string> names = options.names;
  for (int i = 1; names.size() < static_cast<size_t>(options.annotators) && options.names.empty();
       ++i)
    names.push_back(absl::StrCat("annotator-", i));
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.evaluation));
  absl::StatusOr<eval::Evaluation> evaluation = eval::EvaluationFromJson(text);
  if (!evaluation.ok()) return Annotate(evaluation.status(), options.evaluation);
  review::StudyOptions study_options = {.items = options.items,
                                        .overlap = options.overlap,
                                        .seed = options.seed.value_or(review::RandomSeed())};
  if (!options.arms.empty()) {
    study_options.baseline = options.arms[0];
    study_options.arm = options.arms[1];
  }
  const absl::StatusOr<review::Study> study = review::MakeStudy(*evaluation, study_options);
  if (!study.ok()) return Annotate(study.status(), options.evaluation);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<review::Invitation> invitations,
                          review::StudyStore::Create(options.out, *study, names));
  if (!options.json) {
    int64_t shared = 0;
    for (const review::StudyItem& item : study->items) shared += item.shared ? 1 : 0;
    std::printf("%s:\n%s\n", options.out.c_str(),
                Wrap(absl::StrCat(study->info.arm, " against ", study->info.baseline, ", ",
                                  Plural(static_cast<int64_t>(study->items.size()), "dialogue"),
                                  " (", shared, " rated by everybody), ",
                                  Plural(static_cast<int64_t>(names.size()), "person", "people")),
                     kTableWidth, "  ")
                    .c_str());
  }
  ShowInvitations(invitations, options.url, options.json);
  if (!options.json)
    std::printf("Serve the page: mellow_review_server --study %s\n", options.out.c_str());
  return 0;
}

absl::StatusOr<int> ReviewInvite(const ReviewInviteOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(auto store, review::StudyStore::Open(options.study));
  std::vector<review::Invitation> invitations;
  if (options.renew) {
    for (const std::string& name : options.names) {
      MELLOW_ASSIGN_OR_RETURN(review::Invitation invitation, store->Renew(name));
      invitations.push_back(std::move(invitation));
    }
  } else {
    MELLOW_ASSIGN_OR_RETURN(invitations, store->Invite(options.names));
  }
  ShowInvitations(invitations, options.url, options.json);
  return 0;
}

absl::StatusOr<int> ReviewRevoke(const ReviewInviteOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(auto store, review::StudyStore::Open(options.study));
  for (const std::string& name : options.names) {
    MELLOW_RETURN_IF_ERROR(store->Revoke(name));
    std::printf("%s: the link does not work anymore; the answers stay\n",
                PrintableLine(name).c_str());
  }
  return 0;
}

absl::StatusOr<int> ReviewStatus(const ReviewShowOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(auto store, review::StudyStore::Open(options.study));
  MELLOW_ASSIGN_OR_RETURN(const auto annotators, store->Annotators());
  std::vector<std::vector<std::string>> table = {
      {"person", "link", "judged", "of", "begun", "last answer"}};
  for (const review::AnnotatorStatus& a : annotators) {
    const bool ever = a.last_save != absl::InfinitePast();
    const std::string saved = ever ? UtcText(absl::ToUnixSeconds(a.last_save)) + " UTC" : "";
    if (options.json) {
      std::printf("%s\n", json::Write({{"annotator", a.name},
                                       {"revoked", a.revoked},
                                       {"assigned", a.assigned},
                                       {"judged", a.judged},
                                       {"unfinished", a.unfinished},
                                       {"last_save", ever ? json::Value(saved) : json::Value()}})
                              .c_str());
    } else {
      table.push_back({a.name, a.revoked ? "revoked" : "works", absl::StrCat(a.judged),
                       absl::StrCat(a.assigned), absl::StrCat(a.unfinished),
                       ever ? saved : "never"});
    }
  }
  if (!options.json) std::printf("%s", FormatTable(table).c_str());
  return 0;
}

// To the file, whole or not at all, or to standard output.
absl::StatusOr<int> Deliver(const std::string& text, const std::string& out) {
  if (!out.empty()) {
    MELLOW_RETURN_IF_ERROR(WriteFileAtomic(out, text));
  } else if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
             std::fflush(stdout) != 0) {
    return ErrnoStatus(errno, "standard output");
  }
  return 0;
}

absl::StatusOr<int> ReviewExport(const ReviewShowOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(auto store, review::StudyStore::Open(options.study));
  MELLOW_ASSIGN_OR_RETURN(const auto reviewed, store->Reviewed());
  std::vector<review::StudyItem> texts;
  if (options.texts) {
    MELLOW_ASSIGN_OR_RETURN(texts, store->Items());
  }
  return Deliver(options.format == "csv" ? review::ExportCsv(reviewed, texts)
                                         : review::ExportJsonLines(reviewed, texts),
                 options.out);
}

absl::StatusOr<int> ReviewSummarize(const ReviewShowOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(auto store, review::StudyStore::Open(options.study));
  MELLOW_ASSIGN_OR_RETURN(const review::StudyInfo info, store->Info());
  MELLOW_ASSIGN_OR_RETURN(const auto items, store->Items());
  MELLOW_ASSIGN_OR_RETURN(const auto annotators, store->Annotators());
  MELLOW_ASSIGN_OR_RETURN(const auto reviewed, store->Reviewed());
  MELLOW_ASSIGN_OR_RETURN(const review::ReviewSummary summary,
                          review::Summarize(info, static_cast<int64_t>(items.size()), annotators,
                                            reviewed, options.bootstrap));
  return Deliver(options.json ? review::ReviewSummaryToJson(summary)
                              : DocumentText(report::ReviewBlocks(summary)),
                 options.out);
}

CLI::App* AddStudyCommand(CLI::App* review, const char* name, const char* help,
                          std::string* study) {
  CLI::App* sub = review->add_subcommand(name, help);
  sub->add_option("REVIEW.sqlite", *study, "The study")->required();
  return sub;
}

void AddUrl(CLI::App* sub, std::string* url, bool* json) {
  sub->add_option("--url", *url, "What links begin with: where people reach mellow_review_server")
      ->capture_default_str();
  sub->add_flag("--json", *json, "One JSON object per person instead of text");
}

void AddNew(CLI::App* review, Action* chosen) {
  auto o = std::make_shared<ReviewNewOptions>();
  CLI::App* sub = review->add_subcommand(
      "new", "Make a study: two arms of an evaluation, to be rated blind by people");
  sub->add_option("EVALUATION.json", o->evaluation, "What `mellow evaluate` wrote")->required();
  sub->add_option("--out", o->out, "File of the study; it must not be there yet")->required();
  sub->add_option("--arms", o->arms, "Names of two arms, the baseline first [the only two]")
      ->expected(2)
      ->type_name("BASELINE ARM");
  sub->add_option("--items", o->items, "Dialogues, chosen at random; 0: all whose summaries differ")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  CLI::Option* count = sub->add_option("--annotators", o->annotators, "People to invite")
                           ->capture_default_str()
                           ->check(CLI::Range(1, 1000));
  sub->add_option("--names", o->names, "Their names, instead of a number of people")
      ->excludes(count);
  sub->add_option("--overlap", o->overlap,
                  "Share of the dialogues that everybody rates, for their agreement; the others "
                  "are split")
      ->capture_default_str();
  sub->add_option("--seed", o->seed,
                  "Seed of the choice, the orders and the sides [random; who knows it can tell "
                  "the sides]");
  AddUrl(sub, &o->url, &o->json);
  sub->footer(
      "Examples:\n  mellow review new evaluation.json --out review.sqlite --annotators 3\n"
      "  mellow review new evaluation.json --out review.sqlite --arms base 28 --items 40 --names "
      "Ada Grace");
  sub->callback([=] { *chosen = [=] { return ReviewNew(*o); }; });
}

void AddInvite(CLI::App* review, Action* chosen) {
  auto o = std::make_shared<ReviewInviteOptions>();
  CLI::App* sub =
      AddStudyCommand(review, "invite", "Invite more people, or give new links", &o->study);
  sub->add_option("NAME", o->names, "Whom")->required();
  sub->add_flag("--renew", o->renew,
                "They are invited already and get new links; the old ones stop working");
  AddUrl(sub, &o->url, &o->json);
  sub->footer(
      "Examples:\n  mellow review invite review.sqlite Edsger Barbara\n"
      "  mellow review invite review.sqlite Ada --renew");
  sub->callback([=] { *chosen = [=] { return ReviewInvite(*o); }; });

  auto revoked = std::make_shared<ReviewInviteOptions>();
  sub = AddStudyCommand(review, "revoke", "Make people's links stop working; their answers stay",
                        &revoked->study);
  sub->add_option("NAME", revoked->names, "Whose")->required();
  sub->footer("Example:\n  mellow review revoke review.sqlite Grace");
  sub->callback([=] { *chosen = [=] { return ReviewRevoke(*revoked); }; });
}

void AddShow(CLI::App* review, Action* chosen) {
  auto status = std::make_shared<ReviewShowOptions>();
  CLI::App* sub = AddStudyCommand(review, "status", "How far each person is", &status->study);
  sub->add_flag("--json", status->json, "One JSON object per person instead of a table");
  sub->footer("Example:\n  mellow review status review.sqlite");
  sub->callback([=] { *chosen = [=] { return ReviewStatus(*status); }; });

  auto exported = std::make_shared<ReviewShowOptions>();
  sub = AddStudyCommand(review, "export", "Every judgment, one per line", &exported->study);
  sub->add_option("--format", exported->format, "csv or jsonl")
      ->capture_default_str()
      ->check(CLI::IsMember({"csv", "jsonl"}));
  sub->add_flag(
      "--texts", exported->texts,
      "With the dialogue and both summaries; in CSV, texts that a spreadsheet would run as a "
      "formula begin with an apostrophe");
  sub->add_option("--out", exported->out, "File [standard output]");
  sub->footer(
      "Examples:\n  mellow review export review.sqlite --out ratings.csv\n"
      "  mellow review export review.sqlite --format jsonl --texts");
  sub->callback([=] { *chosen = [=] { return ReviewExport(*exported); }; });

  auto summary = std::make_shared<ReviewShowOptions>();
  sub = AddStudyCommand(review, "summary",
                        "What people said: ratings, win rate, agreement, with intervals",
                        &summary->study);
  sub->add_flag("--json", summary->json, "JSON, as the report reads it");
  sub->add_option("--out", summary->out, "File [standard output]");
  sub->add_option("--resamples", summary->bootstrap.resamples, "Resamples of the bootstrap")
      ->capture_default_str();
  sub->add_option("--seed", summary->bootstrap.seed, "Seed of the bootstrap")
      ->capture_default_str();
  sub->footer(
      "Examples:\n  mellow review summary review.sqlite\n"
      "  mellow review summary review.sqlite --json --out review.json");
  sub->callback([=] { *chosen = [=] { return ReviewSummarize(*summary); }; });
}

}  // namespace

void AddReviewCommand(CLI::App* app, Action* chosen) {
  CLI::App* review = app->add_subcommand(
      "review", "People rate summaries blind: make a study, invite, export, summarize");
  review->require_subcommand(1);
  AddNew(review, chosen);
  AddInvite(review, chosen);
  AddShow(review, chosen);
}

}  // namespace mellow::cli
