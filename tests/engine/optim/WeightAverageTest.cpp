#include "engine/optim/WeightAverage.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

const std::vector<kernels::Segment> kSegments = {{.offset = 0, .length = 2, .step = 7},
                                                 {.offset = 4, .length = 2, .skip = true}};

struct Job {
  explicit Job(double decay, at::ScalarType type = at::kDouble)
      : parameters(at::tensor({1.0, -2.0, 99.0, 99.0, 0.5, 3.25}, type)), average(decay, parameters, kSegments) {}
  void step(int t, bool skip = false) {
    parameters.mul_(-0.5).add_(t + 0.1);
    const kernels::FlatStep step{.skip = skip};
    average.update(&step);
  }
  at::Tensor found() const { return at::cat({average.values().narrow(0, 0, 2), average.values().narrow(0, 4, 2)}); }

  at::Tensor parameters;
  WeightAverage average;
};

// The numbers are those of torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn, PyTorch 2.11.
TEST(WeightAverage, EqualsPyTorch) {
  for (const auto& [decay, expected] :
       {std::pair(0.9, at::tensor({-0.062, 1.123, 0.1355, -0.95075}, at::kDouble)),
        std::pair(0.25, at::tensor({1.30625, 1.540625, 1.3453125, 1.13046875}, at::kDouble))}) {
    Job job(decay);
    Job narrow(decay, at::kFloat);
    for (int t = 0; t < 3; ++t) {
      job.step(t);
      narrow.step(t);
    }
    EXPECT_TRUE(at::allclose(job.found(), expected, 1e-14, 1e-14)) << decay << job.found();
    EXPECT_TRUE(at::allclose(narrow.found(), expected.to(at::kFloat), 1e-6, 1e-6)) << decay << narrow.found();
    EXPECT_EQ(job.average.updates(), 3);
    EXPECT_EQ(job.average.values()[2].item<double>(), 99);
  }
}

TEST(WeightAverage, BeginsAsTheParametersAreAndSkipsWhatIsSkipped) {
  Job job(0.5);
  const at::Tensor start = job.average.values().clone();
  EXPECT_TRUE(at::equal(start, job.parameters));
  job.step(0, /*skip=*/true);
  EXPECT_TRUE(at::equal(job.average.values(), start));
  EXPECT_EQ(job.average.updates(), 0);
  job.step(1);
  EXPECT_TRUE(at::equal(job.found()[0], job.parameters[0]));
  const at::Tensor now = job.average.values().clone();
  job.step(2, /*skip=*/true);
  EXPECT_TRUE(at::equal(job.average.values(), now));
  EXPECT_EQ(job.average.updates(), 1);
}

TEST(WeightAverage, ValuesAndUpdatesAreAllThatResumingNeeds) {
  for (const int done : {0, 1, 2}) {
    Job straight(0.75);
    for (int t = 0; t < done; ++t) straight.step(t);
    Job resumed(0.75);
    resumed.parameters.copy_(straight.parameters);
    resumed.average.values().copy_(straight.average.values());
    resumed.average.set_updates(straight.average.updates());
    straight.step(3);
    resumed.step(3);
    EXPECT_TRUE(at::equal(resumed.average.values(), straight.average.values())) << done;
    EXPECT_EQ(resumed.average.updates(), done + 1);
  }
}

}  // namespace
}  // namespace lockstep
