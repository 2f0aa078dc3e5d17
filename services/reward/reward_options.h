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
  std::string toxic_label;           // empty: as nn::ToxicLabel finds it; a judge needs none
  int64_t max_batch_tokens = 16384;  // padded tokens classified together
  int queue_capacity = 2048;         // texts that wait, of users and as many of rollouts
  int64_t max_text_bytes = 0;        // of one text; 0: follows from the model's window
  double linger_ms = 2;              // longest wait for batch mates
  bool judge = false;                // for the guards of runs, and no reward

  // What max_text_bytes means with a model that reads `max_tokens`.
  [[nodiscard]] int64_t TextBytes(int max_tokens) const;
  // The size of the largest request that these options allow.
  [[nodiscard]] int64_t MessageBytes(int max_tokens) const;
  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

void AddRewardFlags(CLI::App* app, RewardOptions* options);

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_REWARD_OPTIONS_H_
