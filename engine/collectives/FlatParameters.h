// Parameters and gradients of a program as two flat storages.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/collectives/BucketPlan.h"
#include "engine/device/DeviceArray.h"
#include "kernels/FlatWork.h"
#include "kernels/gradient_norm/GradientNorm.h"

namespace lockstep {

/// Moves each parameter's values into flat storage and makes the parameter, and its gradient, a view into it,
/// so that collectives and optimizers run over buckets and autograd writes where they read. Strides are kept
/// where they are dense (channels-last too). The padding between parameters stays zero. Right behind the gradients lie
/// the riders: numbers that are summed over the ranks with the last bucket. What they mean is their user's affair.
///
/// Where the plan has shares, this rank updates only what it owns, and nothing else of the gradients is looked at.
/// State is of what is owned alone: ranges of it behind one another, as the plan has them.
class FlatParameters {
 public:
  /// `parameters` in the plan's order: leaf tensors that require gradients, all float32 or all float64, on one device.
  /// InputError names the first that is neither. `riders`: how many. `rank`: whose share of the plan's is owned here.
  FlatParameters(BucketPlan plan, std::vector<at::Tensor> parameters, std::int64_t riders, int rank = 0);

  const BucketPlan& plan() const { return plan_; }
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  const std::vector<at::Tensor>& gradients() const { return gradients_; }  ///< the views, in the plan's order
  const std::vector<kernels::FlatRange>& owned() const { return owned_; }  ///< here
  at::Tensor& flat_parameters() { return flat_parameters_; }
  at::Tensor& flat_gradients() { return flat_gradients_; }
  at::Tensor& riders() { return riders_; }  ///< right behind the flat gradients
  at::ScalarType scalar_type() const { return flat_parameters_.scalar_type(); }
  c10::Device device() const { return flat_parameters_.device(); }

  /// Enqueues finding the norm of all gradients that are owned; `norm` is in the device's memory.
  void find_gradient_norm(kernels::GradientNorm* norm) { find_norm(flat_gradients_, pieces_, norm); }
  /// The same of all gradients, owned or not.
  void find_whole_norm(kernels::GradientNorm* norm) { find_norm(flat_gradients_, whole_pieces_, norm); }
  /// The first parameter whose owned numbers in `flat` are not all finite; nothing when all are. `flat`: a storage of
  /// the parameters' layout and type, or of state. Waits for what is enqueued.
  std::optional<std::size_t> first_not_finite(const at::Tensor& flat);
  /// Copies what is owned from a storage of the parameters' layout into one of state.
  void take_owned(const at::Tensor& flat, const at::Tensor& state) const;
  /// What such a storage, or one of state, holds of a parameter, in its sizes and order of memory: a copy, 0 where it
  /// is not owned.
  at::Tensor owned_part(const at::Tensor& flat, std::size_t parameter) const;

 private:
  bool is_whole(const at::Tensor& flat) const { return flat.numel() == plan_.length(); }  ///< not one of state
  void find_norm(const at::Tensor& flat, const DeviceArray<kernels::Piece>& pieces, kernels::GradientNorm* norm);

  BucketPlan plan_;
  std::vector<kernels::FlatRange> owned_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> gradients_;
  at::Tensor flat_parameters_;
  at::Tensor flat_gradients_;
  at::Tensor riders_;
  DeviceArray<kernels::Segment> segments_;  ///< these four for the norm
  DeviceArray<kernels::Piece> pieces_;      ///< of what is owned
  DeviceArray<kernels::Piece> whole_pieces_;
  DeviceArray<kernels::GradientNorm> workspace_;
};

}  // namespace lockstep
