#ifndef MELLOW_TESTS_TESTING_TEST_CERTIFICATES_H_
#define MELLOW_TESTS_TESTING_TEST_CERTIFICATES_H_

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/tls/openssl.h"

namespace mellow::testing {

struct CertificateRequest {
  std::string uri;  // empty: none
  absl::Time begin = absl::Now() - absl::Hours(1);
  absl::Time end = absl::Now() + absl::Hours(1);
};

struct IssuedCertificate {
  std::string cert;  // PEM
  std::string key;   // PEM
};

// An authority that exists for one test and signs what it is asked to. Certificates are for
// 127.0.0.1 and localhost, of servers and of clients.
class TestAuthority {
 public:
  TestAuthority();

  [[nodiscard]] std::string Pem() const;
  [[nodiscard]] IssuedCertificate Issue(const CertificateRequest& request) const;
  // With the URI spiffe://mellow/ROLE/NAME.
  [[nodiscard]] IssuedCertificate Issue(const std::string& role, const std::string& name) const;

 private:
  tls::KeyPtr key_;
  tls::X509Ptr cert_;
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_TEST_CERTIFICATES_H_
