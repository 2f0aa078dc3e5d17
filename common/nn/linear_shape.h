#ifndef MELLOW_COMMON_NN_LINEAR_SHAPE_H_
#define MELLOW_COMMON_NN_LINEAR_SHAPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/nn/t5_config.h"

namespace mellow::nn {

// A linear layer of a model that LoRA may adapt: W [out, in].
struct LinearShape {
  std::string name;  // in the checkpoint: "encoder.block.0.layer.0.SelfAttention.q"
  int64_t in = 0;
  int64_t out = 0;
};

// Every linear layer of the two stacks, from the configuration alone; lm_head is not among them.
[[nodiscard]] std::vector<LinearShape> LinearLayers(const T5Config& config);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LINEAR_SHAPE_H_
