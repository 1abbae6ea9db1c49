#include "engine/objective/LossRegistry.h"

#include "engine/objective/CrossEntropy.h"
#include "engine/objective/MeanSquaredError.h"

namespace lockstep {

LossRegistry built_in_losses() {
  return LossRegistry({
      {.name = "cross_entropy",
       .make =
           [](const Hyperparameters& options, const c10::Device& device) {
             return make_cross_entropy({.label_smoothing = options.label_smoothing,
                                        .ignore_index = options.ignore_index,
                                        .class_weights = options.class_weights},
                                       device);
           },
       .reads = {"label_smoothing", "ignore_index", "class_weights"}},
      {.name = "mse", .make = [](const Hyperparameters&, const c10::Device&) { return make_mean_squared_error(); }},
  });
}

}  // namespace lockstep
