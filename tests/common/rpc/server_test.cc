#include "common/rpc/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "common/base/steady_time.h"
#include "common/rpc/client.h"
#include "common/rpc/deadline.h"
#include "tests/testing/one_call.h"

namespace mellow::rpc {
namespace server_test {

using ::testing::HasSubstr;

TEST(RpcServerTest, HealthFollowsSetServing) {
  obs::Metrics metrics;
  auto server = Server::Start({}, {}, {"mellow.x.v1.X"}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = MakeChannel((*server)->address());
  EXPECT_TRUE(absl::IsUnavailable(CheckHealth(channel, "x", absl::Seconds(20))))
      << "NOT_SERVING until told";
  (*server)->SetServing(true);
  EXPECT_TRUE(CheckHealth(channel, "x", absl::Seconds(20)).ok());
  (*server)->SetServing(false);
  EXPECT_TRUE(absl::IsUnavailable(CheckHealth(channel, "x", absl::Seconds(20))));
}

// A caller of a scaled service finds new servers only when it looks its name up again.
TEST(RpcServerTest, OldConnectionsAreRenewedAndNoCallSuffers) {
  obs::Metrics metrics;
  ServerOptions options;
  options.max_connection_age = absl::Milliseconds(50);
  auto server = Server::Start(options, {}, {}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  (*server)->SetServing(true);
  const auto channel = MakeChannel((*server)->address());
  for (int renewals = 0; renewals < 5; ++renewals) {
    const SteadyTime deadline = SteadyTime::Now() + absl::Seconds(20);
    ASSERT_TRUE(channel->WaitForConnected(ToGrpc(deadline)));
    while (channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY) {
      const absl::Status status = CheckHealth(channel, "x", absl::Seconds(20));
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_LT(SteadyTime::Now(), deadline) << "the connection stays";
    }
  }
}

TEST(RpcServerTest, MadeUpMethodsShareOneLabel) {
  obs::Metrics metrics;
  auto server = Server::Start({}, {}, {}, &metrics);
  ASSERT_TRUE(server.ok());
  const auto channel = (*server)->InProcessChannel();
  const auto call = [&](const char* path) { return mellow::testing::CallWith(channel, path, ""); };
  for (const char* path :
       {"/made.up/One", "/grpc.health.v1.Health/Two", "/mellow.x.v1.X/Three", "/"})
    EXPECT_EQ(call(path).error_code(), grpc::StatusCode::UNIMPLEMENTED) << path;
  EXPECT_TRUE(call("/grpc.health.v1.Health/Check").ok());
  const std::string text = metrics.Text();
  for (const char* name : {"One", "Two", "Three"})
    EXPECT_THAT(text, ::testing::Not(HasSubstr(name)));
  EXPECT_THAT(text, HasSubstr("method=\"unknown\""));
  EXPECT_THAT(text, HasSubstr("/grpc.health.v1.Health/Check"));
}

TEST(RpcServerTest, ATakenPortIsRefusedByName) {
  obs::Metrics metrics;
  auto first = Server::Start({}, {}, {}, &metrics);
  ASSERT_TRUE(first.ok());
  ServerOptions options;
  options.address = (*first)->address();
  auto second = Server::Start(options, {}, {}, &metrics);
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(options.address));
}

TEST(RpcServerTest, AnUnreachablePeerIsNamedWithHostAndPort) {
  std::string address;
  {
    obs::Metrics metrics;
    auto server = Server::Start({}, {}, {}, &metrics);
    ASSERT_TRUE(server.ok());
    address = (*server)->address();
  }
  const absl::Status status = CheckHealth(MakeChannel(address), address, absl::Seconds(20));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(address));
}

TEST(RpcServerTest, BadOptionsNameTheValue) {
  obs::Metrics metrics;
  for (const char* address : {"", "localhost", ":70000", "h:99999", "h:x"}) {
    ServerOptions options;
    options.address = address;
    EXPECT_TRUE(absl::IsInvalidArgument(Server::Start(options, {}, {}, &metrics).status()))
        << address;
  }
}

// A client that keeps its connection open and never looks at it again: gRPC alone would wait for it
// for the whole drain, here longer than the test may take.
TEST(RpcServerTest, ShutdownDoesNotWaitForIdleClients) {
  obs::Metrics metrics;
  auto server = Server::Start({}, {}, {}, &metrics);
  ASSERT_TRUE(server.ok());
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {.sin_family = AF_INET,
                         .sin_port = htons(static_cast<uint16_t>((*server)->port())),
                         .sin_addr = {htonl(INADDR_LOOPBACK)}};
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  // HTTP/2's connection preface (RFC 9113, 3.4) and an empty SETTINGS frame.
  const std::string preface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
  ASSERT_EQ(send(client, preface.data(), preface.size(), 0), 33);
  char byte = 0;
  ASSERT_EQ(recv(client, &byte, 1, 0), 1) << "the server's SETTINGS: the connection stands";
  (*server)->Shutdown(absl::Hours(1));
  close(client);
}

}  // namespace server_test
}  // namespace mellow::rpc
