#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_ARCHIVE_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_ARCHIVE_H_

// What stays of a supervised run that has ended well: CHECKPOINTS/RUN/finished.json beside its
// adapter. A learner that restarts knows its finished runs by these files.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/learner/sft/sft_records.h"
#include "services/learner/sft/sft_status.h"

namespace mellow::learner {

struct FinishedSft {
  SftRunFile file;   // with every record
  SftStatus status;  // done
};

// Whole or not at all; a file that is there already stays as it is. Errors of the disk.
[[nodiscard]] absl::Status KeepFinished(const std::string& checkpoint_dir,
                                        const FinishedSft& finished);
// NotFound: no such run, or it has not ended well. InvalidArgument: no run id. DataLoss: the file
// is damaged.
[[nodiscard]] absl::StatusOr<FinishedSft> ReadFinished(const std::string& checkpoint_dir,
                                                       const std::string& run_id);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_ARCHIVE_H_
