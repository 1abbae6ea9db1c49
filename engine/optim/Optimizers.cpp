#include "engine/optim/Optimizers.h"

#include <algorithm>
#include <utility>

#include "common/Error.h"
#include "engine/device/KernelForm.h"
#include "engine/optim/FlatOptimizer.h"
#include "engine/optim/Muon.h"
#include "kernels/adamw/AdamW.h"
#include "kernels/flat_update/Formulas.h"
#include "kernels/lamb/Lamb.h"
#include "kernels/sgd/Sgd.h"

namespace lockstep {

namespace {

using kernels::AdamOptions;
using Segments = std::vector<kernels::Segment>;

AdamOptions adam_options(const Hyperparameters& options) {
  return {.beta1 = options.beta1, .beta2 = options.beta2, .epsilon = options.epsilon};
}

template <typename Real>
class Sgd : public Optimizer {
 public:
  Sgd(const Hyperparameters& options, const FlatStorage& storage, Segments segments)
      : Optimizer(storage, std::move(segments)), nesterov_(options.nesterov), factor_(options.momentum) {
    if (factor_ != 0) momentum_ = storage.new_state();
  }

  std::vector<OptimizerState> state() override {
    if (!momentum_.defined()) return {};
    return {{"momentum", momentum_}};
  }

 private:
  void update(const kernels::FlatWork& work, const kernels::FlatStep* step) override {
    with_kernel_form(device(), [&](auto... stream) {
      kernels::sgd(
          kernels::SgdUpdate<Real>{
              .parameters = storage().parameters.template mutable_data_ptr<Real>(),
              .gradients = storage().gradients.template const_data_ptr<Real>(),
              .velocity = momentum_.defined() ? momentum_.template mutable_data_ptr<Real>() : nullptr,
              .work = work,
              .step = step,
              .momentum = factor_,
              .nesterov = nesterov_},
          stream...);
    });
  }

  bool nesterov_;
  double factor_;
  at::Tensor momentum_;
};

/// What AdamW and LAMB share.
template <typename Real>
class TwoMoments : public Optimizer {
 public:
  TwoMoments(const Hyperparameters& options, const FlatStorage& storage, Segments segments)
      : Optimizer(storage, std::move(segments)),
        options_(adam_options(options)),
        first_moment_(storage.new_state()),
        second_moment_(storage.new_state()) {}

  std::vector<OptimizerState> state() override {
    return {{"first_moment", first_moment_}, {"second_moment", second_moment_}};
  }

 protected:
  AdamOptions options_;
  at::Tensor first_moment_;
  at::Tensor second_moment_;
};

template <typename Real>
class AdamW : public TwoMoments<Real> {
  using TwoMoments<Real>::TwoMoments;
  void update(const kernels::FlatWork& work, const kernels::FlatStep* step) override {
    with_kernel_form(this->device(), [&](auto... stream) {
      kernels::adamw(
          kernels::AdamWUpdate<Real>{.parameters = this->storage().parameters.template mutable_data_ptr<Real>(),
                                     .gradients = this->storage().gradients.template const_data_ptr<Real>(),
                                     .first_moment = this->first_moment_.template mutable_data_ptr<Real>(),
                                     .second_moment = this->second_moment_.template mutable_data_ptr<Real>(),
                                     .work = work,
                                     .step = step,
                                     .options = this->options_},
          stream...);
    });
  }
};

template <typename Real>
class Lamb : public TwoMoments<Real> {
 public:
  Lamb(const Hyperparameters& options, const FlatStorage& storage, Segments segments)
      : TwoMoments<Real>(options, storage, std::move(segments)),
        workspace_(this->piece_count(), this->device()),
        segment_workspace_(this->received().size(), this->device()) {}

 private:
  void update(const kernels::FlatWork& work, const kernels::FlatStep* step) override {
    with_kernel_form(this->device(), [&](auto... stream) {
      kernels::lamb(
          kernels::LambUpdate<Real>{.parameters = this->storage().parameters.template mutable_data_ptr<Real>(),
                                    .gradients = this->storage().gradients.template const_data_ptr<Real>(),
                                    .first_moment = this->first_moment_.template mutable_data_ptr<Real>(),
                                    .second_moment = this->second_moment_.template mutable_data_ptr<Real>(),
                                    .work = work,
                                    .workspace = workspace_.data(),
                                    .segment_workspace = segment_workspace_.data(),
                                    .segment_count = static_cast<std::int64_t>(segment_workspace_.size()),
                                    .step = step,
                                    .options = this->options_},
          stream...);
    });
  }

  DeviceArray<kernels::LambPiece> workspace_;
  DeviceArray<kernels::LambSegment> segment_workspace_;
};

/// The kind of optimizer that `Type<Real>` is, for the type of the parameters.
template <template <typename> typename Type>
OptimizerKind kind(std::string name, bool by_element) {
  return {.name = std::move(name),
          .make = [](const Hyperparameters& options, const FlatStorage& storage,
                     const Segments& segments) -> std::unique_ptr<Optimizer> {
            if (storage.parameters.scalar_type() == at::kDouble) {
              return std::make_unique<Type<double>>(options, storage, segments);
            }
            return std::make_unique<Type<float>>(options, storage, segments);
          },
          .by_element = by_element};
}

/// The kind of optimizer that a formula is. `options`: from hyperparameters to the formula's; `states`: their names.
template <template <typename> typename Formula, typename Options>
OptimizerKind formula(std::string name, const Options& options, std::vector<std::string> states) {
  return {.name = std::move(name),
          .make = [=](const Hyperparameters& job, const FlatStorage& storage,
                      const Segments& segments) -> std::unique_ptr<Optimizer> {
            if (storage.parameters.scalar_type() == at::kDouble) {
              return std::make_unique<FlatOptimizer<Formula<double>>>(options(job), states, storage, segments);
            }
            return std::make_unique<FlatOptimizer<Formula<float>>>(options(job), states, storage, segments);
          },
          .by_element = true};
}

OptimizerKind rmsprop() {
  const auto options = [](const Hyperparameters& job) -> kernels::RmsPropOptions {
    return {.beta2 = job.beta2, .epsilon = job.epsilon, .momentum = job.momentum};
  };
  const char* square = "second_moment";
  const char* mean = "first_moment";
  return {.name = "rmsprop",
          .make =
              [=](const Hyperparameters& job, const FlatStorage& storage, const Segments& segments) {
                const auto form =
                    job.centered
                        ? job.momentum == 0
                              ? formula<kernels::CenteredRmsProp>("", options, {square, mean})
                              : formula<kernels::CenteredMomentumRmsProp>("", options, {square, mean, "momentum"})
                    : job.momentum == 0 ? formula<kernels::PlainRmsProp>("", options, {square})
                                        : formula<kernels::MomentumRmsProp>("", options, {square, "momentum"});
                return form.make(job, storage, segments);
              },
          .by_element = true};
}

}  // namespace

const std::vector<OptimizerKind>& built_in_optimizers() {
  static const std::vector<OptimizerKind> all = {
      kind<Sgd>("sgd", /*by_element=*/true),
      kind<AdamW>("adamw", /*by_element=*/true),
      kind<Lamb>("lamb", /*by_element=*/false),
      formula<kernels::Adam>("adam", adam_options, {"first_moment", "second_moment"}),
      rmsprop(),
      formula<kernels::Adagrad>(
          "adagrad", [](const Hyperparameters& job) { return kernels::AdagradOptions{.epsilon = job.epsilon}; },
          {"sum_of_squares"}),
      formula<kernels::Lion>(
          "lion",
          [](const Hyperparameters& job) { return kernels::LionOptions{.beta1 = job.beta1, .beta2 = job.beta2}; },
          {"momentum"}),
      kind<Muon>("muon", /*by_element=*/false),
  };
  return all;
}

std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, const FlatStorage& storage,
                                          const std::vector<kernels::Segment>& segments,
                                          const std::vector<OptimizerKind>& kinds) {
  const auto kind = std::ranges::find(kinds, hyperparameters.optimizer, &OptimizerKind::name);
  if (kind == kinds.end()) throw InternalError("unknown optimizer " + hyperparameters.optimizer);
  if (!kind->by_element && storage.owned_length() < storage.parameters.numel()) {
    throw InputError("shard_optimizer cuts parameters where one rank's share ends, and optimizer=" + kind->name +
                     " needs each whole; take another optimizer, such as adamw, or leave shard_optimizer out");
  }
  return kind->make(hyperparameters, storage, segments);
}

}  // namespace lockstep
