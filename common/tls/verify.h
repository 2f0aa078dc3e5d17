#ifndef MELLOW_COMMON_TLS_VERIFY_H_
#define MELLOW_COMMON_TLS_VERIFY_H_

#include <string>

#include "absl/strings/string_view.h"

namespace mellow::tls {

struct Verdict {
  // Empty: trusted. Else a word for a metric's label: "unknown_ca", "certificate_expired",
  // "bad_certificate".
  std::string refusal;
  std::string detail;  // for people
};

// Whether a client may be taken for what its certificate says: a chain from `leaf_pem` over
// `chain_pem` (others that it sent; may be empty) to one of `ca_pem`, valid now, and made for
// clients.
[[nodiscard]] Verdict VerifyClient(absl::string_view leaf_pem, absl::string_view chain_pem,
                                   absl::string_view ca_pem);

}  // namespace mellow::tls

#endif  // MELLOW_COMMON_TLS_VERIFY_H_
