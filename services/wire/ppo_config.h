#ifndef MELLOW_SERVICES_WIRE_PPO_CONFIG_H_
#define MELLOW_SERVICES_WIRE_PPO_CONFIG_H_

// The messages of training as the trainers' own structs: what an orchestrator checks, a learner
// trains with and a probe reads from a file are the same conversion.

#include <string>

#include "absl/status/statusor.h"
#include "common/nn/lora_config.h"
#include "common/rl/ppo_config.h"
#include "mellow/learner/v1/ppo_config.pb.h"

namespace mellow::wire {

// What the message leaves unset is as in rl::PpoConfig, and in a `lora` as PEFT has it (r 8, alpha
// 8, the modules q and v). InvalidArgument naming field and value: see rl::PpoConfig::Validate.
[[nodiscard]] absl::StatusOr<rl::PpoConfig> PpoConfigFromProto(
    const learner::v1::PpoConfig& message);

// The same from the message's JSON. InvalidArgument also for a field that is not known, or a value
// of another type.
[[nodiscard]] absl::StatusOr<rl::PpoConfig> PpoConfigFromJson(const std::string& text);

// Takes what the message sets.
void ReadLora(const learner::v1::LoraSpec& message, nn::LoraConfig* lora);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_PPO_CONFIG_H_
