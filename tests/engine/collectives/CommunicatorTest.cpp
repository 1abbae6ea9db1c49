#include "engine/collectives/Communicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <stdexcept>

#include "common/Error.h"
#include "engine/collectives/DeviceWait.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LateDevice.h"
#include "tests/support/RankAlone.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

// As a rank alone on its host does, which has no connection that could fail.
TEST(Communicator, AHostThatWaitsForItsDeviceRests) {
  RankAlone alone;
  const auto end = Clock::now() + std::chrono::milliseconds(400);
  const std::clock_t before = std::clock();
  alone.await([&] { return Clock::now() >= end; });
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.2);
}

TEST(Communicator, ADeviceThatIsStuckIsGivenUp) {
  RankAlone alone;
  alone.deadline = std::chrono::milliseconds(20);
  EXPECT_ERROR(alone.await([] { return false; }), SystemError, "within 0 s", "stuck");
}

TEST(Communicator, WhatADeviceDidAfterAPeerWentIsWorthNothing) {
  RankAlone alone;
  alone.fail_after(3);
  int asked = 0;
  EXPECT_ERROR(alone.await([&] { return ++asked == 4; }), PeerError, "gone");
  EXPECT_ERROR(alone.await([]() -> bool { throw SystemError("CUDA error"); }), PeerError, "gone");
}

TEST(DeviceWait, IsForAllThatIsEnqueuedAndHasADeadline) {
  const LateDevice device;
  RankAlone alone;
  bool done = false;
  LateDevice::enqueue([&] { done = true; });
  await_device(alone, device.place());
  EXPECT_TRUE(done);
  LateDevice::get_stuck();
  alone.fail_after(5);
  EXPECT_ERROR(await_device(alone, device.place()), PeerError, "gone");
  EXPECT_EQ(LateDevice::host_waits(), 0);
}

}  // namespace
}  // namespace lockstep
