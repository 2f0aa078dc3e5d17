// The HTTP server over TLS, spoken to by cpp-httplib's own client.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>

#include "absl/strings/numbers.h"
#include "common/base/file.h"
#include "common/http/http.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/test_certificates.h"
#include "tests/testing/wait_until.h"

namespace mellow::http {
namespace {

using ::mellow::testing::IssuedCertificate;
using ::mellow::testing::TestAuthority;
using ::mellow::testing::WaitUntil;

class HttpTlsTest : public ::testing::Test {
 protected:
  void Write(const TestAuthority& authority, const IssuedCertificate& issued) {
    ASSERT_TRUE(WriteFileAtomic(files_.cert, issued.cert).ok());
    ASSERT_TRUE(WriteFileAtomic(files_.key, issued.key).ok());
    ASSERT_TRUE(WriteFileAtomic(files_.ca, authority.Pem()).ok());
  }

  void Start(tls::ClientAuth auth) {
    Write(authority_, authority_.Issue("node", "a"));
    auto watcher = tls::FollowCertificates(files_, absl::Milliseconds(20));
    ASSERT_TRUE(watcher.ok()) << watcher.status();
    auto server = Server::Start({.tls = TlsOptions{*watcher, auth, [this] { ++failures_; }}},
                                [](const Request&) { return Response{.body = "hello"}; });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // The body, or what went wrong. `client` (may be null) is the certificate to show.
  std::string Get(const TestAuthority& trusted, const IssuedCertificate* client) {
    int port = 0;
    EXPECT_TRUE(
        absl::SimpleAtoi(server_->address().substr(server_->address().rfind(':') + 1), &port));
    std::unique_ptr<httplib::SSLClient> http;
    std::vector<tls::X509Ptr> cert;
    tls::KeyPtr key;
    if (client == nullptr) {
      http = std::make_unique<httplib::SSLClient>("127.0.0.1", port);
    } else {
      cert = tls::ParseCertificates(client->cert);
      key = tls::ParseKey(client->key);
      http = std::make_unique<httplib::SSLClient>("127.0.0.1", port, cert[0].get(), key.get());
    }
    http->set_ca_cert_store(tls::MakeStore(trusted.Pem()).release());
    http->enable_server_certificate_verification(true);
    const auto result = http->Get("/");
    return result ? result->body : httplib::to_string(result.error());
  }

  const mellow::testing::TempFolder folder_;
  const TestAuthority authority_;
  const tls::Files files_ = {folder_ / "c", folder_ / "k", folder_ / "a"};
  std::atomic<int> failures_{0};
  std::unique_ptr<Server> server_;
};

TEST_F(HttpTlsTest, ACertificateOfTheCaIsNeededWhenRequired) {
  Start(tls::ClientAuth::kRequire);
  const IssuedCertificate user = authority_.Issue("user", "ann");
  EXPECT_EQ(Get(authority_, &user), "hello");
  EXPECT_EQ(failures_, 0);
  EXPECT_NE(Get(authority_, nullptr), "hello");
  EXPECT_TRUE(WaitUntil([&] { return failures_ == 1; })) << "none";
  const TestAuthority other;
  const IssuedCertificate stranger = other.Issue("user", "ann");
  EXPECT_NE(Get(authority_, &stranger), "hello");
  EXPECT_TRUE(WaitUntil([&] { return failures_ == 2; })) << "of another CA";
  const absl::Time now = absl::Now();
  const IssuedCertificate expired = authority_.Issue({.uri = "spiffe://mellow/user/ann",
                                                      .begin = now - absl::Hours(2),
                                                      .end = now - absl::Hours(1)});
  EXPECT_NE(Get(authority_, &expired), "hello");
  EXPECT_TRUE(WaitUntil([&] { return failures_ == 3; })) << "expired";
  EXPECT_EQ(Get(authority_, &user), "hello") << "and still serves";
}

TEST_F(HttpTlsTest, OptionalAndNone) {
  Start(tls::ClientAuth::kOptional);
  const TestAuthority other;
  const IssuedCertificate stranger = other.Issue("user", "ann");
  EXPECT_EQ(Get(authority_, nullptr), "hello");
  EXPECT_NE(Get(authority_, &stranger), "hello");
  server_.reset();
  Start(tls::ClientAuth::kNone);
  EXPECT_EQ(Get(authority_, nullptr), "hello");
  EXPECT_EQ(Get(authority_, &stranger), "hello") << "not asked for";
  EXPECT_NE(Get(other, nullptr), "hello") << "a client that does not trust us";
}

TEST_F(HttpTlsTest, PlainHttpGetsNoAnswer) {
  Start(tls::ClientAuth::kNone);
  EXPECT_TRUE(absl::IsUnavailable(
      Call(server_->address(), {.method = "GET", .path = "/"}, absl::Seconds(20)).status()));
  EXPECT_TRUE(WaitUntil([&] { return failures_ == 1; }));
}

TEST_F(HttpTlsTest, TakesANewCertificateAndAuthorityWhileItRuns) {
  Start(tls::ClientAuth::kRequire);
  const IssuedCertificate user = authority_.Issue("user", "ann");
  EXPECT_EQ(Get(authority_, &user), "hello");
  ASSERT_TRUE(WriteFileAtomic(files_.cert, "half of a certificate").ok());
  EXPECT_EQ(Get(authority_, &user), "hello");
  const TestAuthority next;
  const IssuedCertificate next_user = next.Issue("user", "ann");
  Write(next, next.Issue("node", "b"));
  EXPECT_TRUE(WaitUntil([&] { return Get(next, &next_user) == "hello"; }));
  EXPECT_NE(Get(next, &user), "hello") << "the old authority is not trusted anymore";
}

}  // namespace
}  // namespace mellow::http
