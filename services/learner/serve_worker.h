#ifndef MELLOW_SERVICES_LEARNER_SERVE_WORKER_H_
#define MELLOW_SERVICES_LEARNER_SERVE_WORKER_H_

#include "absl/status/status.h"
#include "services/learner/learner_options.h"

namespace mellow::learner {

// Serves GradientService until a signal: what the process does with --worker. `options` are valid.
// Errors: the model's, and those of wire::ServeUntilSignal.
[[nodiscard]] absl::Status ServeWorker(const LearnerOptions& options);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SERVE_WORKER_H_
