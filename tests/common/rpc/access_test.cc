#include "common/rpc/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::rpc {
namespace {

using ::testing::HasSubstr;

TEST(AccessTest, OneSpiffeUriSaysRoleAndName) {
  const auto caller = CallerFromUris({"https://example.org", "spiffe://mellow/user/ann"});
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ(caller->Key(), "user/ann");
}

TEST(AccessTest, AnythingElseIsNobody) {
  const std::vector<std::vector<std::string>> nobody = {
      {},
      {"spiffe://mellow/user"},
      {"spiffe://mellow/user/"},
      {"spiffe://mellow//ann"},
      {"spiffe://mellow/user/ann/x"},
      {"spiffe://mellow.example/user/ann"},
      {"SPIFFE://mellow/user/ann"},
      {"xspiffe://mellow/user/ann"},
      {"https://mellow/user/ann"},
      {"spiffe://mellow/user/ann", "spiffe://mellow/operator/ann"},
      {"spiffe://elsewhere/x", "spiffe://mellow/operator/ann"},
  };
  for (const auto& uris : nobody)
    EXPECT_FALSE(CallerFromUris(uris).has_value()) << ::testing::PrintToString(uris);
}

TEST(AccessTest, WithoutTokensTheHeaderMeansNothing) {
  EXPECT_TRUE(absl::IsUnauthenticated(IdentifyCaller({}, "Bearer x", nullptr).status()));
  EXPECT_TRUE(IdentifyCaller({"spiffe://mellow/user/ann"}, "Bearer x", nullptr).ok());
}

TEST(AccessTest, TheTableDecidesAndWhatItDoesNotListIsForNobody) {
  const AccessTable table = {{"/mellow.x.v1.X/Read", {"user", "operator"}}};
  const Caller user = {"user", "ann"};
  EXPECT_TRUE(CheckAccess(table, user, "/mellow.x.v1.X/Read").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckAccess(table, {"node", "n"}, "/mellow.x.v1.X/Read")));
  const absl::Status unlisted = CheckAccess(table, user, "/mellow.x.v1.X/Write");
  EXPECT_TRUE(absl::IsPermissionDenied(unlisted));
  EXPECT_THAT(std::string(unlisted.message()), HasSubstr("role user"));
  EXPECT_THAT(std::string(unlisted.message()), HasSubstr("/mellow.x.v1.X/Write"));
  EXPECT_TRUE(CheckAccess(table, user, "/grpc.reflection.v1alpha.ServerReflection/X").ok());
  EXPECT_TRUE(IsOpenMethod("/grpc.health.v1.Health/Check"));
  EXPECT_FALSE(IsOpenMethod("/grpc.health.v1.HealthX/Check"));
  EXPECT_FALSE(IsOpenMethod("/mellow.x.v1.X/Read"));
}

}  // namespace
}  // namespace mellow::rpc
