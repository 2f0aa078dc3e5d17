#ifndef MELLOW_COMMON_SQLITE_SQLITE_H_
#define MELLOW_COMMON_SQLITE_SQLITE_H_

// SQLite's C API with owners and absl::Status. Not thread-safe: the owner of a Database serializes
// its calls. Codes: ResourceExhausted (disk full), DataLoss (the file is corrupt or no database),
// Unavailable (locked by another process), PermissionDenied (read-only), NotFound (no such file),
// Internal (anything else); every message names the file.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mellow::sqlite {

class Database;

// A prepared statement, bound from 1. It must not outlive its Database.
class Statement {
 public:
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, double value);
  Statement& BindText(int index, absl::string_view value);
  Statement& BindBlob(int index, absl::string_view value);
  Statement& BindNull(int index);

  // True: a row can be read with the column accessors. False: done.
  [[nodiscard]] absl::StatusOr<bool> Step();
  // Runs a statement that returns no rows.
  [[nodiscard]] absl::Status Run();
  // Ready to be bound and run again; what was bound stays until it is bound anew.
  void Reset();

  // Columns from 0 of the current row.
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Bytes(int column) const;  // text and blobs
  bool IsNull(int column) const;

 private:
  friend class Database;
  Statement(const Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  const Database* database_;
  sqlite3_stmt* statement_;
};

enum class OpenMode {
  kCreate,    // creates the file when it is not there
  kExisting,  // NotFound when it is not there
};

class Database {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path, OpenMode mode = OpenMode::kCreate);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One or more statements without parameters.
  [[nodiscard]] absl::Status Execute(const std::string& sql);
  [[nodiscard]] absl::StatusOr<Statement> Prepare(absl::string_view sql);
  // Rows that the last INSERT, UPDATE or DELETE changed.
  int Changes() const;

 private:
  friend class Statement;
  Database(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}
  absl::Status Error(absl::string_view doing) const;

  std::string path_;
  sqlite3* handle_;
};

// BEGIN IMMEDIATE ... COMMIT; rolled back when destroyed without Commit.
class Transaction {
 public:
  [[nodiscard]] static absl::StatusOr<Transaction> Begin(Database* database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;

  [[nodiscard]] absl::Status Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;  // null: nothing to roll back
};

}  // namespace mellow::sqlite

#endif  // MELLOW_COMMON_SQLITE_SQLITE_H_
