#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_DATA_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_DATA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/data_spec.h"
#include "common/sft/sft_trainer.h"
#include "common/text/tokenizer.h"

namespace mellow::learner {

// The pairs of a run, tokenized.
struct SftData {
  std::vector<sft::Pair> train;
  std::vector<sft::Pair> dev;  // may be empty
  int truncated_sources = 0;   // pairs of both whose prompt was cut
  int truncated_targets = 0;
  std::string sha256;  // over all token ids: tells whether the data are still the same
};

// Reads, filters, splits and tokenizes. InvalidArgument naming the field, the file and its lines:
// the file cannot be read, a column that it does not have, a row without dialogue or summary, no
// row left to train on.
[[nodiscard]] absl::StatusOr<SftData> LoadSftData(const data::DataSpec& spec, uint32_t seed,
                                                  const text::Tokenizer& tokenizer);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_DATA_H_
