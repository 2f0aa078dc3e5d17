#ifndef MELLOW_SERVICES_ORCHESTRATOR_LEDGER_LEDGER_CODEC_H_
#define MELLOW_SERVICES_ORCHESTRATOR_LEDGER_LEDGER_CODEC_H_

// How values lie in the ledger's columns: number lists as little-endian 32-bit words, records as
// JSON. Decoding errors are DataLoss: nobody but the ledger writes them.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/base/promotion.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

[[nodiscard]] std::string PackInts(absl::Span<const int32_t> values);
[[nodiscard]] std::string PackFloats(absl::Span<const float> values);
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> UnpackInts(absl::string_view bytes);
[[nodiscard]] absl::StatusOr<std::vector<float>> UnpackFloats(absl::string_view bytes);

// Everything of a StepRecord but its step and adapter, which are columns, and its trip. Infinite
// and NaN statistics survive.
[[nodiscard]] std::string EncodeStep(const StepRecord& step);
[[nodiscard]] absl::Status DecodeStep(const std::string& text, StepRecord* step);

// What the guard found at the step of a trip.
[[nodiscard]] std::string EncodeFinding(const GuardTrip& trip);
[[nodiscard]] absl::Status DecodeFinding(const std::string& text, GuardTrip* trip);

[[nodiscard]] std::string EncodeCanary(const CanarySuite& suite);
[[nodiscard]] absl::StatusOr<CanarySuite> DecodeCanary(const std::string& text);

[[nodiscard]] std::string EncodePins(const RunPins& pins);
[[nodiscard]] absl::StatusOr<RunPins> DecodePins(const std::string& text);

[[nodiscard]] std::string EncodeEvidence(const PromotionEvidence& evidence);
[[nodiscard]] absl::StatusOr<PromotionEvidence> DecodeEvidence(const std::string& text);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_LEDGER_LEDGER_CODEC_H_
