#ifndef MELLOW_COMMON_TRAIN_TRAINER_OPTIONS_H_
#define MELLOW_COMMON_TRAIN_TRAINER_OPTIONS_H_

#include "common/nn/device.h"

namespace mellow::train {

// Where a trainer computes.
struct TrainerOptions {
  nn::Device device;
  int threads = 0;  // 0: all cores (on CUDA: libtorch's pool is left as it is)
};

}  // namespace mellow::train

#endif  // MELLOW_COMMON_TRAIN_TRAINER_OPTIONS_H_
