#include "engine/optim/Optimizer.h"

#include <ATen/ops/zeros_like.h>

#include <cstddef>
#include <utility>

#include "common/Error.h"
#include "engine/device/KernelForm.h"
#include "kernels/adamw/AdamW.h"
#include "kernels/lamb/Lamb.h"
#include "kernels/sgd/Sgd.h"

namespace lockstep {

namespace {

template <typename Real>
class Sgd : public Optimizer {
 public:
  Sgd(const Hyperparameters& options, const FlatStorage& storage, std::vector<kernels::Segment> segments)
      : Optimizer(storage, std::move(segments)), nesterov_(options.nesterov), factor_(options.momentum) {
    if (factor_ != 0) momentum_ = at::zeros_like(storage.parameters);
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
  TwoMoments(const Hyperparameters& options, const FlatStorage& storage, std::vector<kernels::Segment> segments)
      : Optimizer(storage, std::move(segments)),
        options_{.beta1 = options.beta1, .beta2 = options.beta2, .epsilon = options.epsilon},
        first_moment_(at::zeros_like(storage.parameters)),
        second_moment_(at::zeros_like(storage.parameters)) {}

  std::vector<OptimizerState> state() override {
    return {{"first_moment", first_moment_}, {"second_moment", second_moment_}};
  }

 protected:
  kernels::AdamOptions options_;
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
  Lamb(const Hyperparameters& options, const FlatStorage& storage, std::vector<kernels::Segment> segments)
      : TwoMoments<Real>(options, storage, std::move(segments)), workspace_(this->piece_count(), this->device()) {}

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
                                    .step = step,
                                    .options = this->options_},
          stream...);
    });
  }

  DeviceArray<kernels::LambPiece> workspace_;
};

std::vector<kernels::Segment> at_step_zero(std::vector<kernels::Segment> segments) {
  for (kernels::Segment& segment : segments) segment.step = 0;
  return segments;
}

}  // namespace

Optimizer::Optimizer(FlatStorage storage, std::vector<kernels::Segment> segments)
    : storage_(std::move(storage)),
      received_(segments.size(), true),
      segments_(at_step_zero(segments), device()),
      pieces_(kernels::pieces_of(segments, piece_length(device())), device()) {}

void Optimizer::step(const kernels::FlatStep* step, const std::vector<bool>& received) {
  if (received.size() != segments_.size()) throw InternalError("the flags are not of this optimizer's segments");
  if (received != received_) {
    std::vector<std::uint8_t> skip(received.size());
    for (std::size_t i = 0; i < skip.size(); ++i) skip[i] = received[i] ? 0 : 1;
    static_assert(sizeof(kernels::Segment::skip) == sizeof(std::uint8_t));
    segments_.write_column<std::uint8_t>(offsetof(kernels::Segment, skip), skip);
    received_ = received;
  }
  with_kernel_form(device(), [&](auto... stream) {
    kernels::advance_steps({segments_.data(), static_cast<std::int64_t>(segments_.size()), step}, stream...);
  });
  update({segments_.data(), pieces_.data(), static_cast<std::int64_t>(pieces_.size())}, step);
}

std::vector<std::int64_t> Optimizer::steps() const {
  std::vector<std::int64_t> steps;
  for (const kernels::Segment& segment : segments_.read().wait()) steps.push_back(segment.step);
  return steps;
}

void Optimizer::set_steps(const std::vector<std::int64_t>& steps) {
  if (steps.size() != segments_.size()) throw InternalError("the steps are not of this optimizer's segments");
  segments_.write_column<std::int64_t>(offsetof(kernels::Segment, step), steps);
}

std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, FlatStorage storage,
                                          std::vector<kernels::Segment> segments) {
  const auto make = [&]<typename Real>() -> std::unique_ptr<Optimizer> {
    switch (hyperparameters.optimizer) {
      case OptimizerKind::kSgd:
        return std::make_unique<Sgd<Real>>(hyperparameters, storage, std::move(segments));
      case OptimizerKind::kAdamW:
        return std::make_unique<AdamW<Real>>(hyperparameters, storage, std::move(segments));
      case OptimizerKind::kLamb:
        return std::make_unique<Lamb<Real>>(hyperparameters, storage, std::move(segments));
    }
    throw InternalError("unknown optimizer");
  };
  return storage.parameters.scalar_type() == at::kDouble ? make.operator()<double>() : make.operator()<float>();
}

}  // namespace lockstep
