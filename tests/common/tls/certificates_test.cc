#include "common/tls/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/testing/stderr_to_file.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/test_certificates.h"
#include "tests/testing/wait_until.h"

namespace mellow::tls {
namespace {

using ::mellow::testing::IssuedCertificate;
using ::mellow::testing::WaitUntil;
using ::testing::HasSubstr;

class CertificatesTest : public ::testing::Test {
 protected:
  Files Write(const IssuedCertificate& issued) {
    EXPECT_TRUE(WriteFileAtomic(files_.cert, issued.cert).ok());
    EXPECT_TRUE(WriteFileAtomic(files_.key, issued.key).ok());
    EXPECT_TRUE(WriteFileAtomic(files_.ca, authority_.Pem()).ok());
    return files_;
  }

  absl::Status Read() { return ReadCertificates(files_, absl::Now()).status(); }

  mellow::testing::TempFolder folder_;
  mellow::testing::TestAuthority authority_;
  const Files files_ = {folder_ / "cert.pem", folder_ / "key.pem", folder_ / "ca.pem"};
};

TEST_F(CertificatesTest, ReadsWhatBelongsTogether) {
  const IssuedCertificate issued = authority_.Issue("node", "a");
  const absl::StatusOr<Certificates> read = ReadCertificates(Write(issued), absl::Now());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->cert, issued.cert);
  EXPECT_EQ(read->key, issued.key);
  EXPECT_GT(read->expires, absl::Now() + absl::Minutes(59));
  EXPECT_LT(read->expires, absl::Now() + absl::Minutes(61));
}

TEST_F(CertificatesTest, NamesTheFileThatIsWrong) {
  Write(authority_.Issue("node", "a"));
  EXPECT_TRUE(Read().ok());
  const auto expect = [this](const std::string& path, const std::string& text,
                             const std::string& part) {
    const std::string before = *ReadFile(path);
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
    const absl::Status status = Read();
    EXPECT_FALSE(status.ok()) << path << ": " << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    ASSERT_TRUE(WriteFileAtomic(path, before).ok());
  };
  for (const std::string& path : {files_.cert, files_.key, files_.ca}) {
    expect(path, "", "no whole PEM");
    expect(path, "nothing", "no whole PEM");
    const std::string whole = *ReadFile(path);
    expect(path, whole.substr(0, whole.size() / 2), "no whole PEM");
  }
  // A second certificate that is cut off is not left out in silence.
  const std::string whole = *ReadFile(files_.ca);
  expect(files_.ca, whole + whole.substr(0, whole.size() / 2), "no whole PEM");
  expect(files_.key, authority_.Issue("node", "b").key, "not the key of the certificate");
  const absl::Time now = absl::Now();
  Write(authority_.Issue({.begin = now - absl::Hours(2), .end = now - absl::Hours(1)}));
  EXPECT_THAT(std::string(Read().message()), HasSubstr("expired"));
  Write(authority_.Issue({.begin = now + absl::Hours(1), .end = now + absl::Hours(2)}));
  EXPECT_THAT(std::string(Read().message()), HasSubstr("not valid before"));
  EXPECT_TRUE(
      absl::IsNotFound(ReadCertificates({files_.cert, folder_ / "none", files_.ca}, now).status()));
}

TEST_F(CertificatesTest, FollowsItsFilesAndKeepsTheOldWhenTheNewAreBroken) {
  const IssuedCertificate first = authority_.Issue("node", "first");
  auto watcher = FollowCertificates(Write(first), absl::Milliseconds(20));
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  std::atomic<int> seen{0};
  (*watcher)->Follow([&seen](const Certificates&) { ++seen; });
  EXPECT_EQ(seen, 1) << "told what there is";

  // The key alone: half of a rotation.
  const IssuedCertificate second = authority_.Issue("node", "second");
  const mellow::testing::StderrToFile log;
  ASSERT_TRUE(WriteFileAtomic(files_.key, second.key).ok());
  // What comes after has been read after it.
  const IssuedCertificate third = authority_.Issue("node", "third");
  EXPECT_EQ((*watcher)->Current()->key, first.key);
  Write(third);
  EXPECT_TRUE(WaitUntil([&] { return (*watcher)->Current()->key == third.key; }));
  EXPECT_EQ((*watcher)->Current()->cert, third.cert);
  EXPECT_TRUE(WaitUntil([&] { return seen > 1; }));

  ASSERT_TRUE(WriteFileAtomic(files_.cert, "rubbish").ok());
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(log.Text(), "no whole PEM certificate"); }))
      << log.Text();
  EXPECT_EQ((*watcher)->Current()->cert, third.cert);
}

TEST(ClientAuthTest, NamesAnUnknownWord) {
  EXPECT_EQ(*ParseClientAuth("none"), ClientAuth::kNone);
  EXPECT_THAT(std::string(ParseClientAuth("maybe").status().message()), HasSubstr("maybe"));
}

}  // namespace
}  // namespace mellow::tls
