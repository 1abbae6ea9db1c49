// Batch norm over what all ranks run at once.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/collectives/Communicator.h"
#include "engine/program/BatchNormalizer.h"

namespace lockstep {

/// Normalizes by the statistics of all ranks' samples of a micro-batch together, and differentiates that exactly: as
/// one rank that runs all of these samples at once. Running statistics come out alike on all ranks.
///
/// For each micro-batch: `begin`; the forward pass, which calls `normalize` for each batch norm; `tie`; backward from
/// the loss that `tie` returns. Each batch norm is a collective in forward and one in backward, which a rank that has
/// no samples must make too: it normalizes tensors without samples, ties a zero, and goes backward from that.
///
/// Ranks make the collectives in the same order whatever their graphs look like to autograd: each batch norm passes a
/// token to the next one, and the last to the loss, so that backward meets all of them, in the reverse order of the
/// forward pass. Nothing else may use the communicator between `begin` and the end of backward.
///
/// Ranks' means and variances are gathered and combined in the ranks' order, in float64 (Chan et al. 1982): the result
/// depends on how samples are spread over ranks by rounding alone. Of a single number the variance is 0, and so is what
/// goes into the running variance; whoever trains refuses it beforehand, as PyTorch does.
class SyncBatchNorm : public BatchNormalizer {
 public:
  /// Keeps a reference. `communicator`: for the memory of the device.
  SyncBatchNorm(Communicator& communicator, const c10::Device& device) : communicator_(communicator), device_(device) {}

  void begin();
  at::Tensor normalize(const BatchNormCall& call, BatchNormStatistics* found) override;
  at::Tensor normalize_again(const BatchNormCall& call, const BatchNormStatistics& found) override;
  /// The loss, from which backward goes through all that was normalized since `begin`.
  at::Tensor tie(const at::Tensor& loss);

 private:
  Communicator& communicator_;
  c10::Device device_;
  at::Tensor token_;
};

}  // namespace lockstep
