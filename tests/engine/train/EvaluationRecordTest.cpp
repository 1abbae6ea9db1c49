#include "engine/train/EvaluationRecord.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

TEST(EvaluationRecord, RestoresWhatWasSavedInTheObjectivesOrder) {
  const Objective objective = make_objective({.monitor = {.metric = "perplexity"}}, c10::Device(c10::kCPU));
  const auto restored = [&](const std::map<std::string, double>& metrics) {
    return evaluation_of({.step = 3, .metrics = metrics}, objective);
  };
  using Values = Evaluation::Values;
  const Evaluation found = restored({{"accuracy", 0.5}, {"gone", 7}, {"loss", 1}, {"perplexity", 2}});
  EXPECT_EQ(found.values(), (Values{{"loss", 1}, {"accuracy", 0.5}, {"perplexity", 2}}));
  EXPECT_EQ(restored(saved(found, 3).metrics).values(), found.values());
  EXPECT_EQ(saved(found, 3).step, 3);
  EXPECT_ERROR(restored({{"accuracy", 0.5}, {"perplexity", 2}}), InputError, "lacks the loss");
  EXPECT_ERROR(restored({{"loss", 1}}), InputError, "lacks the perplexity");
}

TEST(EvaluationRecord, KeepsTables) {
  const Objective objective = make_objective({.metrics = {"f1_per_class"}}, c10::Device(c10::kCPU));
  const Evaluation found({{"loss", 1}}, false, {{"f1_per_class", {{0.5, 1}}}});
  EXPECT_EQ(evaluation_of(saved(found, 3), objective).tables(), found.tables());
}

}  // namespace
}  // namespace lockstep
