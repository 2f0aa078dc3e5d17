// The file of bearer tokens. A message may name the file, the line and a role, never a token.

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/rpc/token_table.h"
#include "tests/testing/temp_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  static const mellow::testing::TempFolder folder;
  const std::string path = folder / "tokens";
  // A token that is in the file for certain, in a line that may be bad.
  const std::string secret = "s3cr3t-t0ken";
  std::ofstream(path) << secret << absl::string_view(reinterpret_cast<const char*>(data), size);
  chmod(path.c_str(), 0600);
  const auto table = rpc::TokenTable::Open(path, absl::Hours(1));
  if (table.ok()) {
    (void)(*table)->Find(secret);
    return 0;
  }
  if (absl::StrContains(table.status().message(), secret)) std::abort();
  return 0;
}
