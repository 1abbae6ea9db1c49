// Updates parameters from gradients, over flat storage.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "job/Hyperparameters.h"
#include "kernels/FlatWork.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep {

/// The storages an optimizer works on, of one layout. They must outlive it.
template <typename Real>
struct FlatSpans {
  std::span<Real> parameters;
  std::span<const Real> gradients;
};
using FlatStorage = std::variant<FlatSpans<float>, FlatSpans<double>>;

/// One of an optimizer's own flat storages, in the parameters' layout.
struct OptimizerState {
  std::string name;  ///< "momentum", "first_moment", "second_moment"
  std::variant<std::span<float>, std::span<double>> values;
};

/// Owns its state in flat storage of the parameters' layout, and how many updates each parameter has had.
/// These two are all that a checkpoint needs of it.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// One update. `gradient_scale` multiplies all gradients; `received` says, per segment, whether it has a
  /// gradient: one that has none keeps its value and its state, without weight decay, as in PyTorch.
  void step(double learning_rate, double gradient_scale, const std::vector<bool>& received);

  /// Its storages, zero at first, to be read and written between steps. They live as long as the optimizer.
  virtual std::vector<OptimizerState> state() = 0;
  /// Updates each segment has had.
  std::vector<std::int64_t> steps() const;
  void set_steps(const std::vector<std::int64_t>& steps);

 protected:
  explicit Optimizer(std::vector<kernels::Segment> segments);
  virtual void update(const kernels::FlatWork& work, const kernels::FlatStep& step) = 0;

 private:
  std::vector<kernels::Segment> segments_;
  std::vector<kernels::Piece> pieces_;
};

/// The optimizer that the hyperparameters name, with its state zero.
std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, FlatStorage storage,
                                          std::vector<kernels::Segment> segments);

/// What to multiply gradients by so that their norm is at most `clip_norm`: clip_norm / (norm + 1e-6), at
/// most 1, as torch.nn.utils.clip_grad_norm_ does.
double clip_scale(double norm, double clip_norm);

}  // namespace lockstep
