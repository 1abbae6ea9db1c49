// Who is told that gradients are ready.
#pragma once

#include <cstddef>

namespace lockstep {

class GradientSink {
 public:
  virtual ~GradientSink() = default;
  /// The gradient of this parameter, counted in the plan's order, lies in its place (FlatParameters::gradients) and is
  /// that of the whole step on this rank: called once a step for each parameter that receives one. On a GPU that is
  /// enqueued on the current stream.
  virtual void ready(std::size_t parameter) = 0;
};

}  // namespace lockstep
