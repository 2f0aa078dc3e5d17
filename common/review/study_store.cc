#include "common/review/study_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/review/token.h"

namespace mellow::review {
namespace {

// 1: without the last question.
constexpr int64_t kSchemaVersion = 2;
constexpr char kRevoked[] = "";  // instead of a hash
constexpr size_t kLongestName = 100;

constexpr char kSchema[] = R"(
CREATE TABLE review_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
  item INTEGER PRIMARY KEY,
  row_index INTEGER NOT NULL,
  shared INTEGER NOT NULL,
  dialogue TEXT NOT NULL,
  baseline TEXT NOT NULL,
  arm TEXT NOT NULL);
CREATE TABLE annotators (
  annotator INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  token_sha256 TEXT NOT NULL);
CREATE TABLE assignments (
  annotator INTEGER NOT NULL REFERENCES annotators,
  position INTEGER NOT NULL,
  item INTEGER NOT NULL REFERENCES items,
  arm_first INTEGER NOT NULL,
  PRIMARY KEY (annotator, position),
  UNIQUE (annotator, item)) WITHOUT ROWID;
CREATE TABLE answers (
  annotator INTEGER NOT NULL,
  position INTEGER NOT NULL,
  question TEXT NOT NULL,
  value INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  client TEXT NOT NULL,
  saved_ms INTEGER NOT NULL,
  PRIMARY KEY (annotator, position, question),
  FOREIGN KEY (annotator, position) REFERENCES assignments) WITHOUT ROWID;
)";

// A row of answers: its question, value, sequence and client in columns from `column`.
absl::Status ReadAnswer(const sqlite::Statement& row, int column, Sheet* sheet) {
  const std::optional<Question> question = QuestionByName(row.Bytes(column));
  if (!question.has_value() || !CheckValue(*question, row.Int(column + 1)).ok()) {
    return absl::DataLossError(absl::StrCat("the study has an answer that no page gives: ",
                                            row.Bytes(column), " ", row.Int(column + 1)));
  }
  (*sheet)[*question] =
      Answer{.value = static_cast<int>(row.Int(column + 1)),
             .version = {.sequence = row.Int(column + 2), .client = row.Bytes(column + 3)}};
  return absl::OkStatus();
}

absl::Status CheckNames(absl::Span<const std::string> names) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > kLongestName)
      return absl::InvalidArgumentError(
          absl::StrCat("annotator '", name, "': a name has 1 to ", kLongestName, " bytes"));
    if (!seen.insert(name).second)
      return absl::AlreadyExistsError(absl::StrCat("annotator '", name, "' is named twice"));
  }
  return absl::OkStatus();
}

absl::Status NoSuchAnnotator(absl::string_view name) {
  return absl::NotFoundError(absl::StrCat("no annotator '", name, "' in this study"));
}

}  // namespace

absl::StatusOr<std::vector<Invitation>> StudyStore::Create(
    const std::string& path, const Study& study, absl::Span<const std::string> annotators) {
  if (access(path.c_str(), F_OK) == 0)
    return absl::AlreadyExistsError(absl::StrCat(path, ": there is a file already"));
  // Beside its final place; it appears there complete.
  const std::string staging = absl::StrCat(path, ".new-", NewToken().substr(0, 8));
  const absl::Cleanup remove = [&staging] {
    for (const char* suffix : {"", "-journal"}) unlink(absl::StrCat(staging, suffix).c_str());
  };
  std::vector<Invitation> invitations;
  {
    MELLOW_ASSIGN_OR_RETURN(auto database, sqlite::Database::Open(staging));
    StudyStore store(std::move(database));
    MutexLock lock(&store.mutex_);
    MELLOW_RETURN_IF_ERROR(store.database_->Execute("PRAGMA synchronous=FULL"));
    MELLOW_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(store.database_.get()));
    MELLOW_RETURN_IF_ERROR(store.database_->Execute(kSchema));
    MELLOW_RETURN_IF_ERROR(store.WriteStudy(study));
    MELLOW_ASSIGN_OR_RETURN(invitations, store.InviteLocked(annotators));
    MELLOW_RETURN_IF_ERROR(transaction.Commit());
  }
  if (renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
    return ErrnoStatus(errno, path);
  return invitations;
}

absl::Status StudyStore::WriteStudy(const Study& study) {
  const StudyInfo& info = study.info;
  MELLOW_ASSIGN_OR_RETURN(auto meta, database_->Prepare("INSERT INTO review_meta VALUES (?, ?)"));
  for (const auto& [key, value] :
       {std::pair<const char*, std::string>("schema_version", absl::StrCat(kSchemaVersion)),
        {"name", info.name},
        {"evaluation_sha256", info.evaluation_sha256},
        {"baseline", info.baseline},
        {"arm", info.arm},
        {"baseline_sha256", info.baseline_sha256},
        {"arm_sha256", info.arm_sha256},
        {"seed", absl::StrCat(info.seed)},
        {"equal_pairs", absl::StrCat(info.equal_pairs)}}) {
    MELLOW_RETURN_IF_ERROR(meta.BindText(1, key).BindText(2, value).Run());
    meta.Reset();
  }
  MELLOW_ASSIGN_OR_RETURN(auto insert,
                          database_->Prepare("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)"));
  for (size_t i = 0; i < study.items.size(); ++i) {
    const StudyItem& item = study.items[i];
    insert.Bind(1, static_cast<int64_t>(i)).Bind(2, item.row).Bind(3, int64_t{item.shared});
    insert.BindText(4, item.dialogue).BindText(5, item.baseline).BindText(6, item.arm);
    MELLOW_RETURN_IF_ERROR(insert.Run());
    insert.Reset();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<StudyStore>> StudyStore::Open(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(auto database, sqlite::Database::Open(path, sqlite::OpenMode::kExisting));
  {
    MELLOW_ASSIGN_OR_RETURN(auto check, database->Prepare("PRAGMA quick_check(1)"));
    MELLOW_ASSIGN_OR_RETURN(const bool row, check.Step());
    if (const std::string verdict = row ? check.Bytes(0) : "no answer"; verdict != "ok")
      return absl::DataLossError(absl::StrCat(path, ": the study is corrupt (", verdict,
                                              "); restore the file from a backup"));
    MELLOW_ASSIGN_OR_RETURN(
        auto table, database->Prepare("SELECT 1 FROM sqlite_master WHERE name = 'review_meta'"));
    MELLOW_ASSIGN_OR_RETURN(const bool found, table.Step());
    if (!found)
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": not a review study (`mellow review new` makes one)"));
  }
  MELLOW_RETURN_IF_ERROR(database->Execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
  auto store = std::unique_ptr<StudyStore>(new StudyStore(std::move(database)));
  MutexLock lock(&store->mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::string version, store->Meta("schema_version"));
  if (version == "1") {
    store->questions_ = kQuestionsOfSchema1;
  } else if (version != absl::StrCat(kSchemaVersion)) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": study schema ", version, ", this program knows up to ", kSchemaVersion));
  }
  return store;
}

absl::StatusOr<int64_t> StudyStore::Authenticate(absl::string_view token) {
  if (!LooksLikeToken(token)) return absl::NotFoundError("no such link");
  const std::string hash = TokenHash(token);
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(auto select,
                          database_->Prepare("SELECT annotator, token_sha256 FROM annotators"));
  int64_t found = 0;
  for (;;) {  // all of them, whichever it is
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    if (EqualInConstantTime(select.Bytes(1), hash)) found = select.Int(0);
  }
  if (found == 0) return absl::NotFoundError("no such link");
  return found;
}

absl::StatusOr<std::vector<Sheet>> StudyStore::Sheets(int64_t annotator) {
  MutexLock lock(&mutex_);
  // One statement, so that it sees one moment.
  MELLOW_ASSIGN_OR_RETURN(
      auto select,
      database_->Prepare("SELECT s.position, a.question, a.value, a.sequence, a.client "
                         "FROM assignments s LEFT JOIN answers a USING (annotator, "
                         "position) WHERE s.annotator = ? ORDER BY s.position"));
  select.Bind(1, annotator);
  std::vector<Sheet> sheets;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return sheets;
    sheets.resize(static_cast<size_t>(select.Int(0)) + 1);
    if (!select.IsNull(1)) MELLOW_RETURN_IF_ERROR(ReadAnswer(select, 1, &sheets.back()));
  }
}

absl::StatusOr<ShownItem> StudyStore::ReadItem(int64_t annotator, int64_t position) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      auto select, database_->Prepare("SELECT dialogue, baseline, arm, arm_first FROM assignments "
                                      "JOIN items USING (item) WHERE annotator = ? AND "
                                      "position = ?"));
  select.Bind(1, annotator).Bind(2, position);
  MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
  if (!row) return absl::NotFoundError(absl::StrCat("position ", position, ": no such item"));
  ShownItem item = {
      .dialogue = select.Bytes(0), .first = select.Bytes(1), .second = select.Bytes(2)};
  if (select.Int(3) != 0) std::swap(item.first, item.second);
  return item;
}

absl::StatusOr<Answer> StudyStore::Save(int64_t annotator, const SaveRequest& request,
                                        absl::Time now) {
  const Answer& answer = request.answer;
  MELLOW_RETURN_IF_ERROR(CheckValue(request.question, answer.value));
  if (static_cast<size_t>(request.question) >= questions_)
    return absl::InvalidArgumentError(
        absl::StrCat(QuestionName(request.question), ": this study does not ask that"));
  const std::string name(QuestionName(request.question));
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(database_.get()));
  {
    MELLOW_ASSIGN_OR_RETURN(
        auto upsert,
        database_->Prepare(
            "INSERT INTO answers SELECT annotator, position, ?3, ?4, ?5, ?6, ?7 FROM assignments "
            "WHERE annotator = ?1 AND position = ?2 "
            "ON CONFLICT (annotator, position, question) DO UPDATE SET value = excluded.value, "
            "sequence = excluded.sequence, client = excluded.client, saved_ms = excluded.saved_ms "
            "WHERE (excluded.sequence, excluded.client) > (answers.sequence, answers.client)"));
    upsert.Bind(1, annotator).Bind(2, request.position).BindText(3, name);
    upsert.Bind(4, int64_t{answer.value}).Bind(5, answer.version.sequence);
    upsert.BindText(6, answer.version.client).Bind(7, absl::ToUnixMillis(now));
    MELLOW_RETURN_IF_ERROR(upsert.Run());
  }
  Sheet stored;
  {
    MELLOW_ASSIGN_OR_RETURN(
        auto select, database_->Prepare("SELECT question, value, sequence, client FROM answers "
                                        "WHERE annotator = ? AND position = ? AND question = ?"));
    select.Bind(1, annotator).Bind(2, request.position).BindText(3, name);
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row)
      return absl::NotFoundError(absl::StrCat("position ", request.position, ": no such item"));
    MELLOW_RETURN_IF_ERROR(ReadAnswer(select, 0, &stored));
  }
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return *stored[request.question];
}

absl::StatusOr<std::string> StudyStore::Meta(absl::string_view key) {
  MELLOW_ASSIGN_OR_RETURN(auto select,
                          database_->Prepare("SELECT value FROM review_meta WHERE key = ?"));
  MELLOW_ASSIGN_OR_RETURN(const bool row, select.BindText(1, key).Step());
  if (!row) return absl::DataLossError(absl::StrCat("the study lacks its ", key));
  return select.Bytes(0);
}

absl::StatusOr<uint64_t> StudyStore::MetaNumber(absl::string_view key) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, Meta(key));
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number))
    return absl::DataLossError(absl::StrCat("the study's ", key, " is no number: ", text));
  return number;
}

absl::StatusOr<StudyInfo> StudyStore::Info() {
  MutexLock lock(&mutex_);
  StudyInfo info;
  for (const auto& [key, field] : {std::pair<const char*, std::string*>("name", &info.name),
                                   {"evaluation_sha256", &info.evaluation_sha256},
                                   {"baseline", &info.baseline},
                                   {"arm", &info.arm},
                                   {"baseline_sha256", &info.baseline_sha256},
                                   {"arm_sha256", &info.arm_sha256}}) {
    MELLOW_ASSIGN_OR_RETURN(*field, Meta(key));
  }
  MELLOW_ASSIGN_OR_RETURN(info.seed, MetaNumber("seed"));
  MELLOW_ASSIGN_OR_RETURN(const uint64_t equal_pairs, MetaNumber("equal_pairs"));
  info.equal_pairs = static_cast<int64_t>(equal_pairs);
  info.questions = questions_;
  return info;
}

absl::StatusOr<std::vector<StudyItem>> StudyStore::Items() {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(auto select,
                          database_->Prepare("SELECT row_index, shared, dialogue, baseline, arm "
                                             "FROM items ORDER BY item"));
  std::vector<StudyItem> items;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return items;
    items.push_back({.row = select.Int(0),
                     .shared = select.Int(1) != 0,
                     .dialogue = select.Bytes(2),
                     .baseline = select.Bytes(3),
                     .arm = select.Bytes(4)});
  }
}

absl::StatusOr<std::vector<AnnotatorStatus>> StudyStore::Annotators() {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      auto select,
      database_->Prepare(absl::StrCat(
          "SELECT name, token_sha256 = '', count(position), total(answered = ", questions_,
          "), total(answered BETWEEN 1 AND ", questions_ - 1,
          "), max(saved) FROM annotators LEFT JOIN assignments USING (annotator) LEFT JOIN "
          "(SELECT annotator, position, count(*) AS answered, max(saved_ms) AS saved FROM answers "
          "GROUP BY 1, 2) USING (annotator, position) GROUP BY annotator ORDER BY annotator")));
  std::vector<AnnotatorStatus> all;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return all;
    all.push_back({.name = select.Bytes(0),
                   .revoked = select.Int(1) != 0,
                   .assigned = select.Int(2),
                   .judged = select.Int(3),
                   .unfinished = select.Int(4)});
    if (!select.IsNull(5)) all.back().last_save = absl::FromUnixMillis(select.Int(5));
  }
}

// Who has each item. A revoked annotator has only what is judged.
absl::StatusOr<std::vector<ItemCoverage>> StudyStore::Coverage() {
  MELLOW_ASSIGN_OR_RETURN(
      auto select,
      database_->Prepare(absl::StrCat(
          "SELECT shared, (SELECT count(*) FROM assignments s JOIN annotators n USING (annotator) "
          "WHERE s.item = items.item AND (n.token_sha256 <> '' OR ",
          questions_,
          " = (SELECT count(*) FROM answers a WHERE a.annotator = s.annotator AND a.position = "
          "s.position))) FROM items ORDER BY item")));
  std::vector<ItemCoverage> items;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return items;
    items.push_back({.shared = select.Int(0) != 0, .annotators = select.Int(1)});
  }
}

absl::StatusOr<int64_t> StudyStore::AddAnnotator(const std::string& name,
                                                 const std::string& token) {
  MELLOW_ASSIGN_OR_RETURN(
      auto insert, database_->Prepare("INSERT INTO annotators (name, token_sha256) VALUES (?, ?) "
                                      "ON CONFLICT (name) DO NOTHING RETURNING annotator"));
  MELLOW_ASSIGN_OR_RETURN(const bool inserted,
                          insert.BindText(1, name).BindText(2, TokenHash(token)).Step());
  if (!inserted)
    return absl::AlreadyExistsError(absl::StrCat("annotator '", name, "' is invited already"));
  const int64_t annotator = insert.Int(0);
  MELLOW_RETURN_IF_ERROR(insert.Step().status());
  return annotator;
}

absl::StatusOr<std::vector<Invitation>> StudyStore::InviteLocked(
    absl::Span<const std::string> annotators) {
  MELLOW_RETURN_IF_ERROR(CheckNames(annotators));
  MELLOW_ASSIGN_OR_RETURN(const uint64_t seed, MetaNumber("seed"));
  int64_t index = 0;  // of the next annotator among those whose link works
  {
    MELLOW_ASSIGN_OR_RETURN(
        auto active,
        database_->Prepare("SELECT count(*) FROM annotators WHERE token_sha256 <> ''"));
    MELLOW_RETURN_IF_ERROR(active.Step().status());
    index = active.Int(0);
  }
  const int64_t total = index + static_cast<int64_t>(annotators.size());
  MELLOW_ASSIGN_OR_RETURN(auto assign,
                          database_->Prepare("INSERT INTO assignments VALUES (?, ?, ?, ?)"));
  std::vector<Invitation> invitations;
  for (const std::string& name : annotators) {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ItemCoverage> items, Coverage());
    const int64_t rest = std::count_if(items.begin(), items.end(),
                                       [](const ItemCoverage& item) { return !item.shared; });
    invitations.push_back({.annotator = name, .token = NewToken()});
    MELLOW_ASSIGN_OR_RETURN(const int64_t annotator, AddAnnotator(name, invitations.back().token));
    int64_t position = 0;
    for (const Assignment& a :
         AssignItems(items, QuotaOf(rest, index, total), seed, static_cast<uint32_t>(annotator))) {
      assign.Bind(1, annotator).Bind(2, position++).Bind(3, a.item).Bind(4, int64_t{a.arm_first});
      MELLOW_RETURN_IF_ERROR(assign.Run());
      assign.Reset();
    }
    ++index;
  }
  return invitations;
}

absl::StatusOr<std::vector<Invitation>> StudyStore::Invite(
    absl::Span<const std::string> annotators) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(database_.get()));
  MELLOW_ASSIGN_OR_RETURN(std::vector<Invitation> invitations, InviteLocked(annotators));
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return invitations;
}

absl::Status StudyStore::SetToken(const std::string& annotator, absl::string_view hash) {
  MELLOW_ASSIGN_OR_RETURN(
      auto update, database_->Prepare("UPDATE annotators SET token_sha256 = ? WHERE name = ?"));
  MELLOW_RETURN_IF_ERROR(update.BindText(1, hash).BindText(2, annotator).Run());
  return database_->Changes() == 1 ? absl::OkStatus() : NoSuchAnnotator(annotator);
}

absl::StatusOr<Invitation> StudyStore::Renew(const std::string& annotator) {
  Invitation invitation = {.annotator = annotator, .token = NewToken()};
  MutexLock lock(&mutex_);
  MELLOW_RETURN_IF_ERROR(SetToken(annotator, TokenHash(invitation.token)));
  return invitation;
}

absl::Status StudyStore::Revoke(const std::string& annotator) {
  MutexLock lock(&mutex_);
  return SetToken(annotator, kRevoked);
}

absl::StatusOr<std::vector<ReviewedItem>> StudyStore::Reviewed() {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      auto select,
      database_->Prepare(
          "SELECT annotator, name, position, item, row_index, shared, arm_first, saved_ms, "
          "question, value, sequence, client FROM answers JOIN assignments USING (annotator, "
          "position) JOIN items USING (item) JOIN annotators USING (annotator) ORDER BY annotator, "
          "position, question"));
  std::vector<ReviewedItem> reviewed;
  int64_t last_annotator = 0;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return reviewed;
    if (reviewed.empty() || last_annotator != select.Int(0) ||
        reviewed.back().position != select.Int(2)) {
      reviewed.push_back({.annotator = select.Bytes(1),
                          .position = select.Int(2),
                          .item = select.Int(3),
                          .row = select.Int(4),
                          .shared = select.Int(5) != 0,
                          .arm_first = select.Int(6) != 0,
                          .questions = questions_});
      last_annotator = select.Int(0);
    }
    ReviewedItem& item = reviewed.back();
    item.saved = std::max(item.saved, absl::FromUnixMillis(select.Int(7)));
    MELLOW_RETURN_IF_ERROR(ReadAnswer(select, 8, &item.sheet));
  }
}

}  // namespace mellow::review
