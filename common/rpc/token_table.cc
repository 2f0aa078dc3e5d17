#include "common/rpc/token_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace mellow::rpc {
namespace {

constexpr absl::string_view kHashMark = "sha256:";
constexpr size_t kHashDigits = 64;
// Shorter ones can be guessed.
constexpr size_t kMinTokenChars = 16;

// Words of roles and names: what a log line and a metric can carry as they stand.
bool IsWord(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && !absl::StrContains("-_.@", c))
      return false;
  }
  return !text.empty() && text.size() <= 128;
}

bool IsHash(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  }
  return text.size() == kHashDigits;
}

absl::Status CheckPrivate(const std::string& path) {
  struct stat s = {};
  if (stat(path.c_str(), &s) != 0) return ErrnoStatus(errno, path);
  if ((s.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": every user of this machine can read or write it; chmod o-rw"));
  }
  return absl::OkStatus();
}

void Report(const std::string& path, const absl::Status& status) {
  if (status.ok()) {
    obs::Log(obs::Severity::kInfo, "tokens read again", {{"file", path}});
  } else {
    obs::Log(obs::Severity::kWarning, "the new tokens are not usable, the old ones stay",
             {{"error", status.ToString()}});
  }
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  for (const char c : token) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)))
      return absl::InvalidArgumentError(absl::StrCat(path, ": one token and nothing else"));
  }
  if (token.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no token in it"));
  return std::string(token);
}

}  // namespace

absl::StatusOr<std::shared_ptr<TokenTable>> TokenTable::Open(const std::string& path,
                                                             absl::Duration period) {
  auto table = std::shared_ptr<TokenTable>(new TokenTable());
  MELLOW_ASSIGN_OR_RETURN(table->owners_,
                          FollowedFiles<Owners>::Start(
                              {path}, period, [path] { return Read(path); },
                              [path](const absl::Status& status) { Report(path, status); }));
  return table;
}

std::optional<TokenOwner> TokenTable::Find(absl::string_view token) const {
  const std::shared_ptr<const Owners> owners = owners_->Current();
  const auto found = owners->find(Sha256Hex(token));
  if (found == owners->end()) return std::nullopt;
  return found->second;
}

absl::StatusOr<TokenTable::Owners> TokenTable::Read(const std::string& path) {
  MELLOW_RETURN_IF_ERROR(CheckPrivate(path));
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Owners owners;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    // A '#' inside a token is part of it.
    words.erase(std::find_if(words.begin(), words.end(),
                             [](absl::string_view word) { return word[0] == '#'; }),
                words.end());
    if (words.empty()) continue;
    const auto wrong = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", what));
    };
    if (words.size() != 3) return wrong("expected TOKEN ROLE NAME");
    if (!IsWord(words[1]) || !IsWord(words[2]))
      return wrong("role and name are letters, digits, '-', '_', '.' and '@'");
    std::string hash;
    if (absl::StartsWith(words[0], kHashMark)) {
      hash = absl::AsciiStrToLower(words[0].substr(kHashMark.size()));
      if (!IsHash(hash)) return wrong("sha256: and 64 hexadecimal digits");
    } else {
      if (words[0].size() < kMinTokenChars)
        return wrong(absl::StrCat("a token has at least ", kMinTokenChars, " characters"));
      hash = Sha256Hex(words[0]);
    }
    const TokenOwner owner = {std::string(words[1]), std::string(words[2])};
    if (!owners.emplace(hash, owner).second) return wrong("this token stands there twice");
  }
  return owners;
}

absl::StatusOr<std::shared_ptr<TokenFile>> TokenFile::Open(const std::string& path,
                                                           absl::Duration period) {
  auto file = std::shared_ptr<TokenFile>(new TokenFile());
  MELLOW_ASSIGN_OR_RETURN(file->token_,
                          FollowedFiles<std::string>::Start(
                              {path}, period, [path] { return ReadToken(path); },
                              [path](const absl::Status& status) { Report(path, status); }));
  return file;
}

std::string TokenFile::Token() const { return *token_->Current(); }

}  // namespace mellow::rpc
