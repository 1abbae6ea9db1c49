// Updates parameters from gradients, over flat storage.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/DeviceArray.h"
#include "job/Hyperparameters.h"
#include "kernels/FlatWork.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep {

/// The storages an optimizer works on: flat tensors of one layout, type (float32 or float64) and device.
struct FlatStorage {
  at::Tensor parameters;
  at::Tensor gradients;
  /// The parameters themselves, one for each segment, for those optimizers that treat matrices otherwise.
  std::vector<at::Tensor> by_segment{};
  /// What of them this optimizer updates, as kernels::pieces_of takes it. Of it alone there is state.
  std::vector<kernels::FlatRange> owned = {{}};

  std::int64_t owned_length() const;
  /// A storage for the state of what is owned: zeros.
  at::Tensor new_state() const;
};

/// One of an optimizer's own flat storages, in the parameters' type and device, of the ranges that it owns. Where it
/// owns everything the layout is the parameters'.
struct OptimizerState {
  std::string name;  ///< "momentum", "first_moment", "second_moment", …
  at::Tensor values;
};

/// Owns its state in flat storage, and how many updates each parameter has had.
/// These two are all that a checkpoint needs of it.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// One update, enqueued; the host does not wait. `step` is in the device's memory and read when the update runs.
  /// `received` says, per segment, whether it has a gradient: one that has none keeps its value and its state, without
  /// weight decay, as in PyTorch.
  void step(const kernels::FlatStep* step, const std::vector<bool>& received);

  /// Its storages, zero at first, to be read and written between steps. They live as long as the optimizer.
  virtual std::vector<OptimizerState> state() = 0;
  /// Updates each segment has had. Blocks the host until those that are enqueued are done: see await_device.
  std::vector<std::int64_t> steps() const;
  void set_steps(const std::vector<std::int64_t>& steps);

 protected:
  Optimizer(FlatStorage storage, std::vector<kernels::Segment> segments);
  /// Enqueues the update itself.
  virtual void update(const kernels::FlatWork& work, const kernels::FlatStep* step) = 0;

  const FlatStorage& storage() const { return storage_; }
  /// By segment: whether the update that runs has a gradient for it.
  const std::vector<bool>& received() const { return received_; }
  std::size_t piece_count() const { return pieces_.size(); }
  c10::Device device() const { return storage_.parameters.device(); }

 private:
  FlatStorage storage_;
  std::vector<bool> received_;  ///< as the segments say now
  DeviceArray<kernels::Segment> segments_;
  DeviceArray<kernels::Piece> pieces_;
};

}  // namespace lockstep
