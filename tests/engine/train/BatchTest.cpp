#include "engine/train/Batch.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

Batch batch_of(double number, bool weights) {
  return {.size = 3,
          .last_of_step = false,
          .inputs = {at::full({3, 2}, number), at::full({3}, number + 1)},
          .targets = at::full({3}, number + 2),
          .weights = weights ? at::full({3}, number + 3) : at::Tensor()};
}

TEST(Batch, CopiesAllOfItsTensors) {
  for (const bool weights : {false, true}) {
    const Batch first = batch_of(1, weights);
    Batch copy = first.clone();
    EXPECT_EQ(copy.size, 3);
    EXPECT_FALSE(copy.last_of_step);
    const void* place = copy.inputs.at(1).const_data_ptr();
    EXPECT_NE(place, first.inputs[1].const_data_ptr());
    for (const double number : {1.0, 7.0}) {  // as it was cloned, and after another was copied into it
      EXPECT_TRUE(at::equal(copy.inputs.at(0), at::full({3, 2}, number)));
      EXPECT_TRUE(at::equal(copy.inputs.at(1), at::full({3}, number + 1)));
      EXPECT_TRUE(at::equal(copy.targets, at::full({3}, number + 2)));
      ASSERT_EQ(copy.weights.defined(), weights);
      if (weights) {
        EXPECT_TRUE(at::equal(copy.weights, at::full({3}, number + 3)));
      }
      copy.copy_from(batch_of(7, weights));
    }
    EXPECT_EQ(copy.inputs.at(1).const_data_ptr(), place);
    EXPECT_EQ(first.inputs[1][0].item<double>(), 2);
  }
}

}  // namespace
}  // namespace lockstep
