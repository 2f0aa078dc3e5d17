#ifndef MELLOW_SERVICES_LEARNER_LEARNER_OPTIONS_H_
#define MELLOW_SERVICES_LEARNER_LEARNER_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "services/wire/service_main.h"

namespace mellow::learner {

struct LearnerOptions {
  wire::ServiceFlags service;
  std::string model;
  std::string device = "auto";
  int threads = 0;  // 0: all cores
  std::string checkpoint_dir;
  int keep_checkpoints = 3;  // newest ones of a run
  int keep_adapters = 0;     // newest ones of a PPO run; 0: all
  bool worker = false;       // computes gradients for the learner, and nothing else

  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

void AddLearnerFlags(CLI::App* app, LearnerOptions* options);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_LEARNER_OPTIONS_H_
