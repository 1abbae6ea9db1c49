// An optimizer whose storages are on a device that executes late.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "engine/optim/Optimizers.h"
#include "tests/support/LateDevice.h"

namespace lockstep {
namespace {

struct Job {
  explicit Job(const c10::Device& device)
      : parameters(at::arange(8, at::kFloat).to(device)),
        gradients(at::ones({8}, at::kFloat).to(device)),
        optimizer(
            make_optimizer({}, {parameters, gradients}, {{.offset = 0, .length = 2}, {.offset = 4, .length = 3}})) {}
  void step(const std::vector<bool>& received) { optimizer->step(&flat_step, received); }

  at::Tensor parameters;
  at::Tensor gradients;
  std::unique_ptr<Optimizer> optimizer;
  kernels::FlatStep flat_step = {.learning_rate = 0.1};
};

// Which parameters have gradients is known behind the first step's collectives, and a silent rank may hold those up: an
// update must not wait for the device to tell what it holds.
TEST(OptimizerLate, AnUpdateDoesNotWaitForTheDevice) {
  const LateDevice device;
  Job host(at::kCPU);
  Job late(device.place());
  const int before = LateDevice::host_waits();
  const std::vector<std::vector<bool>> steps = {{false, true}, {true, true}, {true, false}};
  for (const std::vector<bool>& received : steps) {
    late.step(received);
    host.step(received);
  }
  EXPECT_EQ(LateDevice::host_waits(), before);
  EXPECT_EQ(late.optimizer->steps(), (std::vector<std::int64_t>{2, 2}));
  late.optimizer->set_steps({5, 7});
  EXPECT_EQ(late.optimizer->steps(), (std::vector<std::int64_t>{5, 7}));
  EXPECT_TRUE(at::equal(late.parameters.cpu(), host.parameters));
}

}  // namespace
}  // namespace lockstep
