#include "common/text/tokenizer.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/text/roberta_tokenizer.h"
#include "common/text/t5_tokenizer.h"
#include "common/text/tokenizer_config.h"

namespace mellow::text {

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder) {
  const std::string spiece_path = folder + "/spiece.model";
  const std::string vocab_path = folder + "/vocab.json", merges_path = folder + "/merges.txt";
  const absl::StatusOr<std::string> spiece = ReadFile(spiece_path);
  if (spiece.ok()) {
    MELLOW_ASSIGN_OR_RETURN(const TokenizerConfig config, ReadTokenizerConfig(folder));
    absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeT5Tokenizer(*spiece, config);
    if (!tokenizer.ok()) return Annotate(tokenizer.status(), spiece_path);
    return tokenizer;
  }
  if (!absl::IsNotFound(spiece.status())) return spiece.status();
  const absl::StatusOr<std::string> vocab = ReadFile(vocab_path);
  if (absl::IsNotFound(vocab.status())) {
    return absl::NotFoundError(
        absl::StrCat(folder, ": no tokenizer: neither spiece.model nor vocab.json and merges.txt"));
  }
  MELLOW_RETURN_IF_ERROR(vocab.status());
  MELLOW_ASSIGN_OR_RETURN(const std::string merges, ReadFile(merges_path));
  MELLOW_ASSIGN_OR_RETURN(const TokenizerConfig config, ReadTokenizerConfig(folder));
  return MakeRobertaTokenizer(*vocab, vocab_path, merges, merges_path, config);
}

}  // namespace mellow::text
