#ifndef MELLOW_COMMON_NN_COMMON_KEYS_H_
#define MELLOW_COMMON_NN_COMMON_KEYS_H_

#include <cstdint>

#include "common/json/fields.h"

namespace mellow::nn {

// Far above any model, and low enough that sizes of matrices stay far from overflow.
inline constexpr int kMaxWidth = 1 << 20;
inline constexpr int kMaxLayers = 1000;
inline constexpr int64_t kMaxMatrix = int64_t{1} << 31;  // elements

// The keys that a config.json of transformers 4.2 to 5.x may have whatever the architecture. Those
// that change no number are noted as harmless; those that would are refused unless they have the
// one value that is implemented. The architectures' own keys are read by their parsers.
void ReadCommonKeys(json::FieldReader* fields);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_COMMON_KEYS_H_
