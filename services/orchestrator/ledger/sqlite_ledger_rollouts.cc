// The rollouts of a step in the ledger, with what was computed of them.

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"

namespace mellow::orchestrator {
namespace {

// The transactions of a scope are not waited for until they are on disk; the next one outside of it
// is, and with it they are. A step has hundreds of rollouts' and scores', which a power cut may
// take: they are sampled and scored again to the same numbers. What depends on them comes after a
// transaction that is waited for (StepVersion, before the learner gets them).
class Unsynced {
 public:
  explicit Unsynced(sqlite::Database* database) : database_(database) { Set("NORMAL"); }
  ~Unsynced() { Set("FULL"); }
  Unsynced(const Unsynced&) = delete;
  Unsynced& operator=(const Unsynced&) = delete;

 private:
  void Set(const char* level) {
    database_->Execute(absl::StrCat("PRAGMA synchronous=", level)).IgnoreError();
  }
  sqlite::Database* const database_;
};

// The key of a rollout, as the first three parameters.
sqlite::Statement& BindPrompt(const std::string& run_id, int step, uint64_t prompt_index,
                              sqlite::Statement* statement) {
  return statement->BindText(1, run_id)
      .Bind(2, int64_t{step})
      .Bind(3, static_cast<int64_t>(prompt_index));
}

}  // namespace

absl::StatusOr<int> SqliteLedger::AddRollouts(const std::string& run_id, int step,
                                              absl::Span<const Rollout> rollouts) {
  MutexLock lock(&mutex_);
  const Unsynced unsynced(database_.get());
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  int added = 0;
  for (const Rollout& rollout : rollouts) {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        database_->Prepare("INSERT OR IGNORE INTO rollouts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
                           "NULL, NULL)"));
    BindPrompt(run_id, step, rollout.prompt_index, &insert)
        .BindBlob(4, PackInts(rollout.query_ids))
        .BindBlob(5, PackInts(rollout.response_ids))
        .BindBlob(6, PackFloats(rollout.logprobs))
        .Bind(7, int64_t{rollout.finished})
        .Bind(8, rollout.adapter.version)
        .BindText(9, rollout.adapter.sha256);
    MELLOW_RETURN_IF_ERROR(insert.Run());
    if (database_->Changes() == 0) continue;
    ++added;
    if (rollout.values.empty()) continue;
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement numbers,
        database_->Prepare("INSERT OR REPLACE INTO rollout_numbers (run_id, step, prompt_index, "
                           "token_values, value_head_sha256) VALUES (?, ?, ?, ?, ?)"));
    BindPrompt(run_id, step, rollout.prompt_index, &numbers)
        .BindBlob(4, PackFloats(rollout.values))
        .BindText(5, rollout.value_head_sha256);
    MELLOW_RETURN_IF_ERROR(numbers.Run());
  }
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return added;
}

absl::Status SqliteLedger::SetScores(const std::string& run_id, int step,
                                     absl::Span<const PromptScore> scores) {
  MutexLock lock(&mutex_);
  const Unsynced unsynced(database_.get());
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  for (const PromptScore& score : scores) {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement update,
        database_->Prepare("UPDATE rollouts SET score = ?4, toxicity = ?5 WHERE run_id = ?1 AND "
                           "step = ?2 AND prompt_index = ?3 AND score IS NULL"));
    BindPrompt(run_id, step, score.prompt_index, &update)
        .Bind(4, double{score.score.score})
        .Bind(5, double{score.score.toxicity});
    MELLOW_RETURN_IF_ERROR(update.Run());
  }
  return transaction.Commit();
}

absl::Status SqliteLedger::SetReference(const std::string& run_id, int step,
                                        const AdapterRef& reference,
                                        absl::Span<const PromptReference> prompts) {
  MutexLock lock(&mutex_);
  const Unsynced unsynced(database_.get());
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  for (const PromptReference& prompt : prompts) {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        database_->Prepare(
            "INSERT INTO rollout_numbers (run_id, step, prompt_index, reference_logprobs, "
            "reference_version, reference_sha256) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (run_id, step, prompt_index) DO UPDATE SET "
            "reference_logprobs = excluded.reference_logprobs, "
            "reference_version = excluded.reference_version, "
            "reference_sha256 = excluded.reference_sha256"));
    BindPrompt(run_id, step, prompt.prompt_index, &insert)
        .BindBlob(4, PackFloats(prompt.logprobs))
        .Bind(5, reference.version)
        .BindText(6, reference.sha256);
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  return transaction.Commit();
}

absl::StatusOr<std::vector<Rollout>> SqliteLedger::Rollouts(const std::string& run_id, int step) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare("SELECT rollouts.prompt_index, query_ids, response_ids, logprobs, "
                         "finished, version, sha256, score, toxicity, token_values, "
                         "value_head_sha256, reference_logprobs, reference_version, "
                         "reference_sha256 FROM rollouts LEFT JOIN rollout_numbers "
                         "USING (run_id, step, prompt_index) "
                         "WHERE rollouts.run_id = ? AND rollouts.step = ? "
                         "ORDER BY rollouts.prompt_index"));
  select.BindText(1, run_id).Bind(2, int64_t{step});
  std::vector<Rollout> rollouts;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return rollouts;
    Rollout rollout;
    rollout.prompt_index = static_cast<uint64_t>(select.Int(0));
    MELLOW_ASSIGN_OR_RETURN(rollout.query_ids, UnpackInts(select.Bytes(1)));
    MELLOW_ASSIGN_OR_RETURN(rollout.response_ids, UnpackInts(select.Bytes(2)));
    MELLOW_ASSIGN_OR_RETURN(rollout.logprobs, UnpackFloats(select.Bytes(3)));
    rollout.finished = select.Int(4) != 0;
    rollout.adapter = {select.Int(5), select.Bytes(6)};
    if (!select.IsNull(7)) {
      rollout.score =
          Score{static_cast<float>(select.Double(7)), static_cast<float>(select.Double(8))};
    }
    if (!select.IsNull(9)) {
      MELLOW_ASSIGN_OR_RETURN(rollout.values, UnpackFloats(select.Bytes(9)));
      rollout.value_head_sha256 = select.Bytes(10);
    }
    if (!select.IsNull(11)) {
      MELLOW_ASSIGN_OR_RETURN(rollout.reference_logprobs, UnpackFloats(select.Bytes(11)));
      rollout.reference = {select.Int(12), select.Bytes(13)};
    }
    rollouts.push_back(std::move(rollout));
  }
}

}  // namespace mellow::orchestrator
