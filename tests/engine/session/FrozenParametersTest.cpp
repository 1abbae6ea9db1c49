#include "engine/session/FrozenParameters.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/train/ParameterStorage.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

Program mlp() { return build_builtin_program("mlp", {.input_shape = {3}, .classes = 2, .hidden = {4}, .dropout = 0}); }

std::vector<std::string> trained(const Program& program) {
  std::vector<std::string> names;
  for (const StateTensor& entry : program.trained_parameters()) names.push_back(entry.name);
  return names;
}

TEST(FrozenParameters, AreNotTrained) {
  const Program program = mlp();
  EXPECT_EQ(trained_share(program), "");
  freeze_parameters(program, {});
  EXPECT_EQ(trained(program).size(), 4);
  freeze_parameters(program, {"fc1.*", "*.bias"});
  EXPECT_EQ(trained(program), std::vector<std::string>{"fc2.weight"});
  EXPECT_EQ(trained_share(program), "trains 8 of 26 parameters; the rest is frozen");
  EXPECT_EQ(make_bucket_plan({}, program, 1).names(), std::vector<std::string>{"fc2.weight"});
  // So it stays in another type, on another device, with another order of memory.
  EXPECT_EQ(trained(program.to(at::kDouble)), std::vector<std::string>{"fc2.weight"});
  EXPECT_EQ(trained(program.clone()), std::vector<std::string>{"fc2.weight"});
}

TEST(FrozenParameters, ATiedOneIsKnownByAllItsNames) {
  const at::Tensor tied = at::randn({4, 4}).set_requires_grad(true);
  const Graph graph =
      build_builtin_program("mlp", {.input_shape = {4}, .classes = 4, .hidden = {4}, .dropout = 0}).graph();
  const Program program("tied", graph,
                        {{"fc1.weight", tied},
                         {"fc2.weight", tied},
                         {"fc1.bias", at::zeros({4}).set_requires_grad(true)},
                         {"fc2.bias", at::zeros({4}).set_requires_grad(true)}});
  EXPECT_EQ(program.names_of(tied), (std::vector<std::string>{"fc1.weight", "fc2.weight"}));
  const Hyperparameters options = {.parameter_groups = {{.match = "fc1.weight", .learning_rate_factor = 3},
                                                        {.match = "*", .learning_rate_factor = 5}}};
  const BucketPlan plan = make_bucket_plan(options, program, 1);
  for (std::size_t i = 0; i < plan.names().size(); ++i) {
    EXPECT_EQ(plan.segments()[i].learning_rate_factor, plan.names()[i].ends_with("weight") ? 3 : 5);
  }
  freeze_parameters(program, {"fc2.weight"});
  EXPECT_EQ(trained(program), (std::vector<std::string>{"fc2.bias", "fc1.bias"}));
}

TEST(FrozenParameters, APatternMustMatchAndSomethingMustBeLeft) {
  EXPECT_ERROR(freeze_parameters(mlp(), {"fc1.*", "backbone.*"}), InputError, "freeze", "\"backbone.*\"", "fc1.weight");
  EXPECT_ERROR(freeze_parameters(mlp(), {"*"}), InputError, "freeze=*", "no parameter to train");
  const Program program = mlp();
  for (const StateTensor& entry : program.state()) entry.tensor.set_requires_grad(false);
  freeze_parameters(program, {});
  EXPECT_ERROR(make_bucket_plan({}, program, 1), InputError, "no parameter to train", "requires_grad=False");
}

}  // namespace
}  // namespace lockstep
