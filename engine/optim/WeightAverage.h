// The exponential moving average of the weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/device/DeviceArray.h"
#include "kernels/FlatWork.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep {

/// Averages flat parameters after each of the optimizer's updates, as torch.optim.swa_utils.AveragedModel (PyTorch
/// 2.11) does with get_ema_multi_avg_fn and use_buffers=False: the first update copies them, later ones take 1 - decay
/// of them. Running statistics and other buffers are not averaged: whoever evaluates the average takes the model's.
///
/// Holds a storage of the parameters' layout, and how often it was updated, in the device's memory: these two are all
/// that a checkpoint needs.
class WeightAverage {
 public:
  /// `parameters`: flat, float32 or float64, of these segments. The average begins as they are.
  WeightAverage(double decay, at::Tensor parameters, std::vector<kernels::Segment> segments);

  /// Enqueued behind an optimizer's update of the same `step`; the host does not wait. A step that is skipped changes
  /// nothing.
  void update(const kernels::FlatStep* step);

  const at::Tensor& values() const { return values_; }
  /// Blocks the host until those that are enqueued are done: see await_device.
  std::int64_t updates() const;
  void set_updates(std::int64_t updates);

 private:
  double decay_;
  at::Tensor parameters_;
  at::Tensor values_;
  DeviceArray<kernels::Segment> segments_;
  DeviceArray<kernels::Piece> pieces_;
};

}  // namespace lockstep
