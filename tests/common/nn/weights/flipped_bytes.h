#ifndef MELLOW_TESTS_COMMON_NN_WEIGHTS_FLIPPED_BYTES_H_
#define MELLOW_TESTS_COMMON_NN_WEIGHTS_FLIPPED_BYTES_H_

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"

namespace mellow::nn {

// Parses the file with every byte changed in turn: each is refused, or its tensors can be read.
template <typename Parse>
void ParseWithFlippedBytes(const std::string& file, const Parse& parse) {
  for (size_t i = 0; i < file.size(); ++i) {
    for (const char mask : {'\x01', '\x80', '\xff', ' '}) {
      std::string flipped = file;
      flipped[i] ^= mask;
      const auto read = parse(flipped);
      if (!read.ok()) {
        ASSERT_TRUE(absl::IsDataLoss(read.status()) || absl::IsUnimplemented(read.status()))
            << read.status();
        continue;
      }
      for (const auto& [name, tensor] : *read)
        (void)tensor.ToFloat32();  // inside the bytes, or asan tells
    }
  }
}

}  // namespace mellow::nn

#endif  // MELLOW_TESTS_COMMON_NN_WEIGHTS_FLIPPED_BYTES_H_
