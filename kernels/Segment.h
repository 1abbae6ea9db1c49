// One parameter's place in flat storage, and how an optimizer treats it in one step.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

struct Segment {
  std::int64_t offset = 0;  ///< in elements from the start of the flat storage
  std::int64_t length = 0;  ///< in elements
  double weight_decay = 0;
  double learning_rate_factor = 1;
  std::int64_t step = 1;  ///< how many updates this parameter will have had after this one (≥ 1): see advance_steps
  bool skip = false;      ///< it received no gradient in this step: neither it nor its state changes
  bool matrix = false;    ///< for optimizers that treat matrices otherwise than the rest
};

}  // namespace lockstep::kernels
