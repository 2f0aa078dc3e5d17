#ifndef MELLOW_COMMON_NN_LOAD_OPTIONS_H_
#define MELLOW_COMMON_NN_LOAD_OPTIONS_H_

#include "common/nn/device.h"
#include "common/nn/weight_type.h"

namespace mellow::nn {

// How a model is loaded: what every backend gets, and what the programs' flags say.
struct LoadOptions {
  Device device;
  int threads = 1;  // of this model's own pool (CPU)
  WeightType weights = WeightType::kFloat32;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LOAD_OPTIONS_H_
