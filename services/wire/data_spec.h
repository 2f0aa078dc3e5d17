#ifndef MELLOW_SERVICES_WIRE_DATA_SPEC_H_
#define MELLOW_SERVICES_WIRE_DATA_SPEC_H_

#include "absl/status/statusor.h"
#include "common/data/data_spec.h"
#include "mellow/common/v1/data_spec.pb.h"

namespace mellow::wire {

// Fills in the defaults. InvalidArgument: a field that is not of such a file, or as
// data::DataSpec::Validate.
[[nodiscard]] absl::StatusOr<data::DataSpec> DataFromProto(const common::v1::DataSpec& message,
                                                           data::DataUse use);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_DATA_SPEC_H_
