#include "common/tls/verify.h"

#include <gtest/gtest.h>

#include "tests/testing/test_certificates.h"

namespace mellow::tls {
namespace {

using ::mellow::testing::TestAuthority;

TEST(VerifyClientTest, TrustsWhatItsAuthoritySigned) {
  const TestAuthority authority;
  const TestAuthority other;
  const std::string cert = authority.Issue("user", "ann").cert;
  EXPECT_EQ(VerifyClient(cert, "", authority.Pem()).refusal, "");
  EXPECT_EQ(VerifyClient(cert, "", other.Pem() + authority.Pem()).refusal, "") << "a new CA's time";
}

TEST(VerifyClientTest, RefusesByReason) {
  const TestAuthority authority;
  const TestAuthority other;
  const absl::Time now = absl::Now();
  EXPECT_EQ(VerifyClient(other.Issue("user", "ann").cert, "", authority.Pem()).refusal,
            "unknown_ca");
  EXPECT_EQ(VerifyClient(other.Issue("user", "ann").cert, other.Pem(), authority.Pem()).refusal,
            "unknown_ca")
      << "a client cannot bring its authority along";
  EXPECT_EQ(VerifyClient(other.Pem(), "", authority.Pem()).refusal, "unknown_ca");
  EXPECT_EQ(VerifyClient(
                authority.Issue({.begin = now - absl::Hours(2), .end = now - absl::Hours(1)}).cert,
                "", authority.Pem())
                .refusal,
            "certificate_expired");
  EXPECT_EQ(VerifyClient("rubbish", "", authority.Pem()).refusal, "bad_certificate");
  EXPECT_EQ(VerifyClient(authority.Issue("user", "ann").cert, "", "").refusal, "bad_certificate");
}

}  // namespace
}  // namespace mellow::tls
