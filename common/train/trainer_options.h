#ifndef MELLOW_COMMON_TRAIN_TRAINER_OPTIONS_H_
#define MELLOW_COMMON_TRAIN_TRAINER_OPTIONS_H_

#include "common/nn/device.h"
#include "common/nn/weight_type.h"

namespace mellow::train {

// Where a trainer computes, and how.
struct TrainerOptions {
  nn::Device device;
  int threads = 0;  // 0: all cores (on CUDA: libtorch's pool is left as it is)
  // The products with frozen weights are in it: fp32 or bf16 (TrainableT5::Load). A method's
  // configuration says it.
  nn::WeightType precision = nn::WeightType::kFloat32;
};

}  // namespace mellow::train

#endif  // MELLOW_COMMON_TRAIN_TRAINER_OPTIONS_H_
