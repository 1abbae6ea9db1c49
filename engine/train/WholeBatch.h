// The samples of all ranks, for a loss that compares each with all others.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Joins what ranks have of a batch, so that each computes the loss of all of it (Loss::of_whole_batch). A gradient
/// flows to a rank's own samples alone: summed over ranks that is the gradient of the whole. A value.
class WholeBatch {
 public:
  struct Joined {
    at::Tensor rows;           ///< of all ranks, in their order; undefined where `own` is
    std::int64_t samples = 0;  ///< of all ranks
    bool first = false;        ///< this rank is the first that has any
  };

  /// Keeps references. The same ranks: `communicator` for the memory of `device`, `host` for the host's.
  WholeBatch(Communicator& communicator, Communicator& host, const c10::Device& device)
      : communicator_(&communicator), host_(&host), device_(device) {}

  /// `own`: [samples, …], with its gradient; undefined: this rank has none. Two collectives; throws InputError, on all
  /// ranks alike, when ranks' samples differ in what they are.
  Joined join(const at::Tensor& own) const;

 private:
  Communicator* communicator_;
  Communicator* host_;
  c10::Device device_;
};

}  // namespace lockstep
