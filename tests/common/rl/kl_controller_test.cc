#include "common/rl/kl_controller.h"

#include <limits>

#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

TEST(KlControllerTest, MovesTowardTheTargetByAClippedError) {
  PpoConfig config;
  config.horizon = 100;
  KlController controller(config);
  controller.Update(6.6, 10);  // error 0.1
  EXPECT_DOUBLE_EQ(controller.value(), 0.2 * 1.01);
  controller.Update(600, 10);  // clipped to 0.2
  EXPECT_DOUBLE_EQ(controller.value(), 0.2 * 1.01 * 1.02);
}

TEST(KlControllerTest, FixedOneStays) {
  PpoConfig config;
  config.adap_kl_ctrl = false;
  KlController controller(config);
  controller.Update(100, 1000);
  EXPECT_EQ(controller.value(), 0.2);
}

TEST(KlControllerTest, IgnoresAKlThatIsNotFinite) {
  KlController controller{PpoConfig{}};
  controller.Update(std::numeric_limits<double>::quiet_NaN(), 16);
  EXPECT_EQ(controller.value(), 0.2);
}

}  // namespace
}  // namespace mellow::rl
