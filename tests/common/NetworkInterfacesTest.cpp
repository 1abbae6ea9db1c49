#include "common/NetworkInterfaces.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

// Every machine that runs the tests has one: mpirun needs it.
TEST(NetworkInterfaces, LoopbackIsUp) {
  const auto all = network_interfaces();
  ASSERT_TRUE(all);
  const auto loopback = std::ranges::find(*all, "127.0.0.1", &NetworkInterface::address);
  ASSERT_NE(loopback, all->end());
  EXPECT_EQ(loopback->name, "lo");
  EXPECT_TRUE(loopback->ipv4);
  EXPECT_TRUE(loopback->up);
}

TEST(NetworkInterfaces, AddressesAreOfTheirFamily) {
  const auto all = network_interfaces();
  for (const NetworkInterface& each : all.value()) {
    EXPECT_FALSE(each.name.empty());
    EXPECT_EQ(each.address.find(':') == std::string::npos, each.ipv4) << each.address;
  }
}

}  // namespace
}  // namespace lockstep
