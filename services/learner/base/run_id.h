#ifndef MELLOW_SERVICES_LEARNER_BASE_RUN_ID_H_
#define MELLOW_SERVICES_LEARNER_BASE_RUN_ID_H_

#include <string>

#include "absl/status/status.h"

namespace mellow::learner {

// A run id is a folder's name: 1 to 128 letters, digits, '-' and '_'. InvalidArgument otherwise.
[[nodiscard]] absl::Status CheckRunId(const std::string& run_id);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_RUN_ID_H_
