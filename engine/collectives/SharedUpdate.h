// What ranks tell each other where each updates a share of the parameters.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/FlatParameters.h"
#include "engine/device/DeviceArray.h"
#include "kernels/gradient_norm/GradientNorm.h"

namespace lockstep {

/// Where a bucket plan has shares, a rank's reducer leaves it the sum of the gradients that it owns, and its optimizer
/// updates the parameters that it owns: this makes whole what others need of that. All are collectives, enqueued behind
/// what the current stream has been given; on a GPU the host does not wait.
class SharedUpdate {
 public:
  /// Keeps references. The plan has as many shares as there are ranks. `whole_norm`: the norm is found over all
  /// gradients on each rank, so that its bits are those without shares, wherever these begin; for that gradients are
  /// gathered too.
  SharedUpdate(FlatParameters& parameters, Communicator& communicator, bool whole_norm = false);

  /// The norm of the gradients that are owned here, in the device's memory, becomes that of all: the same bits on all
  /// ranks.
  void sum_norm(kernels::GradientNorm* norm);
  /// All parameters become what their owners have made of them.
  void gather_parameters();
  /// The whole of a storage of state, in the parameters' layout. It lies where the gradients do: between steps, and
  /// until the next call.
  const at::Tensor& gather_state(const at::Tensor& state);

 private:
  void gather(const at::Tensor& from, std::int64_t kernels::FlatRange::*place, at::Tensor& into);

  FlatParameters& parameters_;
  Communicator& communicator_;
  bool whole_norm_;
  DeviceArray<kernels::GradientNorm> norms_;  ///< by rank
};

}  // namespace lockstep
