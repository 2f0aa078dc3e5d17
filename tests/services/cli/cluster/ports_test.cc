#include "services/cli/cluster/ports.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mellow::cli {
namespace {

TEST(PickPortTest, GivesAFreePortThatIsNotTaken) {
  const auto first = PickPort({});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(PortIsFree(*first));
  const auto second = PickPort({*first});
  ASSERT_TRUE(second.ok());
  EXPECT_NE(*first, *second);
}

TEST(PortIsFreeTest, APortThatSomebodyListensOnIsNot) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_FALSE(PortIsFree(ntohs(address.sin_port)));
  close(fd);
}

TEST(PortOfTest, ReadsAddressesAndUrls) {
  EXPECT_EQ(PortOf("127.0.0.1:50051"), 50051);
  EXPECT_EQ(PortOf("http://127.0.0.1:9101/metrics"), 9101);
  EXPECT_EQ(PortOf("nowhere"), 0);
}

}  // namespace
}  // namespace mellow::cli
