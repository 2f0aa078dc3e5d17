#ifndef MELLOW_COMMON_BASE_STATUS_H_
#define MELLOW_COMMON_BASE_STATUS_H_

// Macros and helpers for absl::Status. The lowest layer picks the code, each layer may prepend
// where it happened (Annotate), and only the RPC edge or main() reports it.

#include <exception>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mellow {

// The same status with "where: " before its message; OK stays OK.
inline absl::Status Annotate(const absl::Status& status, absl::string_view where) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(where, ": ", status.message()));
}

// What a request gets whose allocation failed: ResourceExhausted, for another try may succeed.
// Allocates nothing but at the first call.
inline const absl::Status& OutOfMemory() {
  static const auto* const status = new absl::Status(absl::ResourceExhaustedError("out of memory"));
  return *status;
}

// What `body` (-> absl::Status or StatusOr) returns, or what it throws: OutOfMemory(), and Internal
// for what is no failed allocation. For what other libraries throw in a thread that works for many
// requests: it is the error of one of them.
template <typename Body>
[[nodiscard]] auto Caught(const Body& body) -> decltype(body()) {
  const absl::Status& out_of_memory = OutOfMemory();  // made while there is memory
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return out_of_memory;
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace mellow

#define MELLOW_CONCAT_INNER(a, b) a##b
#define MELLOW_CONCAT(a, b) MELLOW_CONCAT_INNER(a, b)

#define MELLOW_RETURN_IF_ERROR(expr)                                                    \
  do {                                                                                  \
    if (absl::Status mellow_status = (expr); !mellow_status.ok()) return mellow_status; \
  } while (false)

// MELLOW_ASSIGN_OR_RETURN(auto value, MaybeValue());
#define MELLOW_ASSIGN_OR_RETURN(lhs, expr) \
  MELLOW_ASSIGN_OR_RETURN_IMPL(MELLOW_CONCAT(mellow_statusor_, __LINE__), lhs, expr)
#define MELLOW_ASSIGN_OR_RETURN_IMPL(statusor, lhs, expr) \
  auto statusor = (expr);                                 \
  if (!statusor.ok()) return statusor.status();           \
  lhs = std::move(statusor).value()

#endif  // MELLOW_COMMON_BASE_STATUS_H_
