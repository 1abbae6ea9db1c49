#include "engine/optim/ParameterGroups.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

TEST(ParameterGroups, PatternsMatchWholeNames) {
  EXPECT_TRUE(matches("layer.bias", "layer.bias"));
  EXPECT_FALSE(matches("layer.bias", "layer.bias2"));
  EXPECT_FALSE(matches("layer.bias", "a.layer.bias"));
  EXPECT_FALSE(matches("layer?bias", "layer.bias"));
  EXPECT_TRUE(matches("", ""));
  EXPECT_FALSE(matches("", "a"));
  EXPECT_FALSE(matches("a", ""));
}

TEST(ParameterGroups, AStarStandsForAnyTextEvenNone) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "any.thing"));
  EXPECT_TRUE(matches("*.bias", "layer.1.bias"));
  EXPECT_TRUE(matches("*.bias", ".bias"));
  EXPECT_FALSE(matches("*.bias", "bias"));
  EXPECT_FALSE(matches("*.bias", "layer.bias.x"));
  EXPECT_TRUE(matches("layer.*", "layer."));
  EXPECT_TRUE(matches("layer.*.weight", "layer.1.weight.weight"));
  EXPECT_TRUE(matches("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(matches("*a*b*", "xxbxxaxx"));
  EXPECT_TRUE(matches("**a**", "a"));
  EXPECT_TRUE(matches("*ab", "aab"));
  EXPECT_TRUE(matches("*aab", "aaaab"));
  EXPECT_FALSE(matches("*aab", "aaaaba"));
}

TEST(ParameterGroups, TheFirstMatchWinsAndTheRestAreAsTheJobSays) {
  const std::vector<ParameterGroup> groups = {{.match = "head.*", .weight_decay = 0.1, .learning_rate_factor = 10},
                                              {.match = "*.bias", .weight_decay = 0, .learning_rate_factor = 2}};
  const auto assigned = assign_groups({{"head.bias"}, {"body.bias"}, {"body.weight"}}, groups, 0.01);
  ASSERT_EQ(assigned.size(), 3);
  EXPECT_EQ(assigned[0].weight_decay, 0.1);
  EXPECT_EQ(assigned[0].learning_rate_factor, 10);
  EXPECT_EQ(assigned[1].weight_decay, 0);
  EXPECT_EQ(assigned[1].learning_rate_factor, 2);
  EXPECT_EQ(assigned[2].weight_decay, 0.01);
  EXPECT_EQ(assigned[2].learning_rate_factor, 1);
}

TEST(ParameterGroups, AGroupWithoutParametersIsRefused) {
  EXPECT_ERROR(assign_groups({{"a.weight"}, {"a.bias"}}, {{.match = "*.bais"}}, 0), InputError, "\"*.bais\"",
               "a.weight, a.bias");
  // One behind a wider pattern gets none either.
  EXPECT_ERROR(assign_groups({{"a.weight"}, {"a.bias"}}, {{.match = "*"}, {.match = "*.bias"}}, 0), InputError,
               "\"*.bias\"");
  EXPECT_ERROR(assign_groups({{"a.weight"}}, {{.match = "b.*"}}, 0, {"a.bias", "b.bias"}), InputError, "\"b.*\"",
               "no parameter is trained", "b.bias is frozen");
  EXPECT_TRUE(assign_groups({}, {}, 0).empty());
}

// Tied parameters, which the graph may use by either name.
TEST(ParameterGroups, ATiedParameterIsKnownByAllItsNames) {
  const std::vector<std::vector<std::string>> parameters = {{"head.weight", "embedding.weight"}, {"head.bias"}};
  for (const char* name : {"head.weight", "embedding.*"}) {
    const auto assigned = assign_groups(parameters, {{.match = name, .weight_decay = 0}}, 0.1);
    EXPECT_EQ(assigned.at(0).weight_decay, 0) << name;
    EXPECT_EQ(assigned.at(1).weight_decay, 0.1) << name;
  }
  const auto first = assign_groups(parameters, {{.match = "embedding.*", .weight_decay = 1}, {.match = "head.*"}}, 0);
  EXPECT_EQ(first.at(0).weight_decay, 1);
  EXPECT_ERROR(assign_groups(parameters, {{.match = "head.weight"}, {.match = "embedding.*"}}, 0), InputError,
               "\"embedding.*\"", "a group before it", "head.weight = embedding.weight, head.bias");
}

}  // namespace
}  // namespace lockstep
