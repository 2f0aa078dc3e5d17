#ifndef MELLOW_SERVICES_REVIEW_REVIEW_OPTIONS_H_
#define MELLOW_SERVICES_REVIEW_REVIEW_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "services/wire/process_flags.h"

namespace mellow::review {

struct ReviewOptions {
  wire::ProcessFlags process{.address = "127.0.0.1:8090"};
  std::string study;
  bool wait_for_study = false;      // serve also while there is no such file
  double requests_per_second = 10;  // of one person

  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

void AddReviewFlags(CLI::App* app, ReviewOptions* options);

}  // namespace mellow::review

#endif  // MELLOW_SERVICES_REVIEW_REVIEW_OPTIONS_H_
