#include "services/learner/workers/packed_weights.h"

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace mellow::learner {
namespace {

// The configuration too: alpha changes the numbers, and is no tensor.
std::string HashOf(const PackedWeights& weights) {
  Sha256 sha;
  sha.Update(weights.adapter.config_json);
  sha.Update("\0", 1);
  const std::vector<float>& head = weights.value_head.weight;
  sha.Update(head.data(), head.size() * sizeof(float));
  sha.Update(&weights.value_head.bias, sizeof(float));
  sha.Update(weights.adapter.safetensors);
  return sha.HexDigest();
}

}  // namespace

PackedWeights Pack(const rl::TrainedWeights& weights) {
  PackedWeights packed;
  if (weights.adapter.modules.empty()) return packed;
  packed.adapter = adapters::SerializePeft(weights.adapter);
  packed.value_head = weights.value_head;
  packed.sha256 = HashOf(packed);
  return packed;
}

absl::StatusOr<rl::TrainedWeights> Unpack(const PackedWeights& weights) {
  if (const std::string sha = HashOf(weights); sha != weights.sha256)
    return absl::DataLossError(
        absl::StrCat("header.sha256 ", weights.sha256, ": the weights have ", sha));
  MELLOW_ASSIGN_OR_RETURN(nn::LoraWeights adapter, adapters::ParsePeft(weights.adapter));
  return rl::TrainedWeights{std::move(adapter), weights.value_head};
}

}  // namespace mellow::learner
