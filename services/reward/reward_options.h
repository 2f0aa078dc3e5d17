#ifndef MELLOW_SERVICES_REWARD_REWARD_OPTIONS_H_
#define MELLOW_SERVICES_REWARD_REWARD_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "services/wire/service_main.h"

namespace mellow::reward {

struct RewardOptions {
  wire::ServiceFlags service;
  std::string model;
  std::string device = "auto";
  int threads = 0;  // 0: all cores
  std::string dtype = "float32";
  std::string toxic_label;           // empty: found among the model's labels
  int64_t max_batch_tokens = 16384;  // padded tokens classified together
  int queue_capacity = 2048;         // texts that wait
  double linger_ms = 2;              // longest wait for batch mates

  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

void AddRewardFlags(CLI::App* app, RewardOptions* options);

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_REWARD_OPTIONS_H_
