// What metrics count, of all batches and then of all ranks.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/objective/Evaluation.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/objective/Objective.h"

namespace lockstep {

/// The counts of an objective's metrics on this rank, on its device. Call `add` for each batch, then `evaluation` once.
class MetricTotals {
 public:
  /// `objective` must outlive it.
  MetricTotals(const Objective& objective, const c10::Device& device);

  /// A batch of so many samples.
  void add(const MeasuredBatch& batch, std::int64_t samples);
  /// Of all ranks, the same on each; nothing where one of them was `stopped`. A metric is in it when a rank could
  /// measure it. A collective. `communicator`: for the memory of the device; `host`: for the host's.
  std::optional<Evaluation> evaluation(bool stopped, Communicator& communicator, Communicator& host) const;

 private:
  /// Of one metric: counts that are yet to be merged.
  using Parts = std::vector<at::Tensor>;

  at::Tensor merged(std::size_t metric) const;

  const Objective& objective_;
  at::Tensor weight_;         ///< of all positions so far, float64
  std::vector<Parts> parts_;  ///< by metric
};

}  // namespace lockstep
