// An optimizer that updates each element by itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/device/KernelForm.h"
#include "engine/optim/Optimizer.h"
#include "kernels/flat_update/FlatUpdate.h"

namespace lockstep {

/// Runs a formula of kernels/flat_update, whose states it owns.
template <typename Formula>
class FlatOptimizer : public Optimizer {
 public:
  /// `names`: of the formula's states, in its order.
  FlatOptimizer(typename Formula::Options options, const std::vector<std::string>& names, const FlatStorage& storage,
                std::vector<kernels::Segment> segments)
      : Optimizer(storage, std::move(segments)), options_(options) {
    for (const std::string& name : names) states_.push_back({name, storage.new_state()});
  }

  std::vector<OptimizerState> state() override { return states_; }

 private:
  void update(const kernels::FlatWork& work, const kernels::FlatStep* step) override {
    using Real = typename Formula::Number;
    kernels::FlatUpdate<Formula> args = {.parameters = storage().parameters.template mutable_data_ptr<Real>(),
                                         .gradients = storage().gradients.template const_data_ptr<Real>(),
                                         .states = {},
                                         .work = work,
                                         .step = step,
                                         .options = options_};
    for (std::size_t i = 0; i < states_.size(); ++i) {
      args.states[i] = states_[i].values.template mutable_data_ptr<Real>();
    }
    with_kernel_form(device(), [&](auto... stream) { kernels::flat_update(args, stream...); });
  }

  typename Formula::Options options_;
  std::vector<OptimizerState> states_;
};

}  // namespace lockstep
