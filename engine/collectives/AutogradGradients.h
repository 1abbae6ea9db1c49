// Gradients that PyTorch's autograd computes, in their places.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/collectives/FlatParameters.h"
#include "engine/collectives/GradientSink.h"

namespace lockstep {

/// For each step: `begin_step`; `backward` for each of its micro-batches; `end_step`. A rank without data in a step
/// calls none of them, or all but `backward`.
///
/// The first gradient of a step is written into its place, later ones are added to it. Autograd leaves the first in a
/// tensor of its own; those of a bucket are copied together, once the last of them has come. Which parameters receive a
/// gradient is learnt from the last step in which any came: in the first each is copied as it comes.
class AutogradGradients {
 public:
  /// Keeps a reference; installs hooks on the parameters for as long as it lives.
  explicit AutogradGradients(FlatParameters& parameters);
  AutogradGradients(const AutogradGradients&) = delete;
  AutogradGradients& operator=(const AutogradGradients&) = delete;
  ~AutogradGradients();

  void begin_step();
  /// Computes the gradients of `loss`. `sink`: given with the last micro-batch of a step, it hears of each gradient as
  /// soon as it is ready; null before. What `sink` throws comes out of this.
  void backward(const at::Tensor& loss, GradientSink* sink);
  /// Tells `sink` of the gradients that it has not heard of. Throws InternalError, naming the parameter, when something
  /// has replaced its gradient's tensor (a backward with create_graph does).
  void end_step(GradientSink& sink);

 private:
  struct Hooks;

  void came(std::size_t parameter);
  void take_in(std::size_t bucket);
  void tell(std::size_t parameter, GradientSink& sink);

  FlatParameters& parameters_;
  std::shared_ptr<Hooks> hooks_;
  std::vector<std::size_t> bucket_of_;             ///< parameter → bucket
  std::vector<std::size_t> expected_;              ///< per bucket: gradients that came in the last step with data
  std::vector<std::size_t> came_;                  ///< per bucket: gradients that have come in this step
  std::vector<bool> received_;                     ///< by parameter, in this step
  std::vector<bool> told_;                         ///< by parameter, in this step
  std::vector<std::vector<std::size_t>> waiting_;  ///< per bucket: parameters whose gradients are not in their places
  GradientSink* sink_ = nullptr;                   ///< of the backward that runs, or ran last
};

}  // namespace lockstep
