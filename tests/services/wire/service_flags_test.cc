#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>

#include "services/wire/client_security.h"
#include "services/wire/service_main.h"
#include "services/wire/tls_flags.h"

namespace mellow::wire {
namespace {

using ::testing::HasSubstr;

absl::Status Check(std::vector<std::string> arguments) {
  CLI::App app;
  ServiceFlags flags;
  AddServiceFlags(&app, &flags, "test-0");
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a vector
  app.parse(arguments);
  return flags.Validate();
}

void ExpectRefused(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& parts) {
  const absl::Status status = Check(arguments);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << ::testing::PrintToString(arguments) << status;
  for (const std::string& part : parts) EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

const std::vector<std::string> kTls = {"--tls-cert", "c", "--tls-key", "k", "--tls-ca", "a"};

std::vector<std::string> WithTls(std::vector<std::string> more) {
  more.insert(more.begin(), kTls.begin(), kTls.end());
  return more;
}

TEST(ServiceFlagsTest, OnlyLoopbackUnlessEncryptedOrSaidPlainly) {
  for (const char* address :
       {"127.0.0.1:0", "127.1.2.3:80", "localhost:8090", "::1:80", "[::1]:80"})
    EXPECT_TRUE(Check({"--address", address, "--metrics-address", address}).ok()) << address;
  for (const char* address : {"0.0.0.0:0", "192.168.0.1:80", "127.evil.example:80", ":::80",
                              "[::]:80", "example.org:80", ":80", "128.0.0.1:80"}) {
    for (const char* flag : {"--address", "--metrics-address"}) {
      ExpectRefused({flag, address}, {flag, address, "--tls-cert", "--insecure-listen"});
      EXPECT_TRUE(Check({flag, address, "--insecure-listen"}).ok()) << address;
      EXPECT_TRUE(Check(WithTls({flag, address})).ok()) << address;
    }
  }
}

TEST(ServiceFlagsTest, TheThreeFilesGoTogether) {
  ExpectRefused({"--tls-cert", "c"}, {"--tls-key", "--tls-ca", "--tls-cert c"});
  ExpectRefused({"--tls-ca", "a", "--tls-key", "k"}, {"--tls-key k"});
  EXPECT_TRUE(Check(kTls).ok());
}

TEST(ServiceFlagsTest, NamesWhatMakesNoSense) {
  ExpectRefused({"--tls-client-auth", "perhaps"}, {"--tls-client-auth", "perhaps"});
  ExpectRefused(WithTls({"--tls-client-auth", "none"}), {"--tls-client-auth none", "--tokens"});
  EXPECT_TRUE(Check(WithTls({"--tls-client-auth", "none", "--tokens", "t"})).ok());
  ExpectRefused({"--tokens", "t"}, {"--tokens t", "TLS"});
  ExpectRefused({"--token-file", "t"}, {"--token-file t", "TLS"});
  ExpectRefused({"--client-rate", "-1"}, {"--client-rate -1"});
  ExpectRefused({"--client-rate", "nan"}, {"--client-rate nan"});
  ExpectRefused({"--client-concurrency", "-1"}, {"--client-concurrency -1"});
}

TEST(ServiceFlagsTest, TheEnvironmentSaysTheSame) {
  const std::vector<std::pair<const char*, const char*>> variables = {
      {"MELLOW_TLS_CERT", "c"},        {"MELLOW_TLS_KEY", "k"},
      {"MELLOW_TLS_CA", "a"},          {"MELLOW_TLS_CLIENT_AUTH", "optional"},
      {"MELLOW_TOKENS", "t"},          {"MELLOW_TOKEN_FILE", "f"},
      {"MELLOW_INSECURE_LISTEN", "1"}, {"MELLOW_INSECURE_HEALTH_ADDRESS", "0.0.0.0:50052"},
      {"MELLOW_NO_REFLECTION", "1"}};
  for (const auto& [name, value] : variables) setenv(name, value, 1);
  CLI::App app;
  ServiceFlags flags;
  AddServiceFlags(&app, &flags, "test-0");
  app.parse(std::vector<std::string>{});
  CLI::App client_app;
  ClientFlags client;
  AddTlsFlags(&client_app, &client.files);
  AddTokenFileFlag(&client_app, &client.token_file);
  client_app.parse(std::vector<std::string>{});
  for (const auto& [name, value] : variables) unsetenv(name);
  EXPECT_EQ(flags.tls.cert, "c");
  EXPECT_EQ(flags.tls.key, "k");
  EXPECT_EQ(flags.tls.ca, "a");
  EXPECT_EQ(flags.tls_client_auth, "optional");
  EXPECT_EQ(flags.tokens, "t");
  EXPECT_EQ(flags.token_file, "f");
  EXPECT_TRUE(flags.insecure_listen);
  EXPECT_EQ(flags.insecure_health_address, "0.0.0.0:50052");
  EXPECT_TRUE(flags.no_reflection);
  EXPECT_TRUE(client.on());
  EXPECT_EQ(client.token_file, "f");
}

TEST(ServiceFlagsTest, AClientNeedsTheCaForCertificateAndToken) {
  EXPECT_TRUE(ClientFlags{}.Validate().ok());
  EXPECT_FALSE(ClientFlags{}.on());
  EXPECT_TRUE((ClientFlags{.files = {"", "", "a"}, .token_file = "t"}.Validate().ok()));
  for (const ClientFlags& wrong :
       {ClientFlags{.files = {"c", "", "a"}}, ClientFlags{.files = {"", "k", "a"}},
        ClientFlags{.files = {"c", "k", ""}}, ClientFlags{.token_file = "t"}})
    EXPECT_TRUE(absl::IsInvalidArgument(wrong.Validate()));
}

}  // namespace
}  // namespace mellow::wire
