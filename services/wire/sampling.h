#ifndef MELLOW_SERVICES_WIRE_SAMPLING_H_
#define MELLOW_SERVICES_WIRE_SAMPLING_H_

// The sampling settings of requests, run files and evaluation files.

#include <limits>

#include "absl/status/status.h"
#include "common/nn/sampling_params.h"
#include "mellow/policy/v1/policy.pb.h"

namespace mellow::wire {

// Puts what the message sets over *params; where it sets a least length alone, the longest one is
// at least that. InvalidArgument naming the field ("sampling.early_stopping: ..."): lists of too
// many ids, an unknown value of an enum.
[[nodiscard]] absl::Status ReadSampling(const policy::v1::SamplingParams& proto,
                                        nn::SamplingParams* params);

// nn::SamplingParams::Validate with the field's path ("sampling.top_p: 2: ...").
[[nodiscard]] absl::Status CheckSampling(const nn::SamplingParams& params,
                                         int vocab_size = std::numeric_limits<int32_t>::max());

// All fields but the seed.
[[nodiscard]] policy::v1::SamplingParams ToProto(const nn::SamplingParams& params);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_SAMPLING_H_
