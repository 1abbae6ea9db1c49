#include "engine/optim/Optimizer.h"

#include <new>
#include <utility>

#include "common/Error.h"
#include "kernels/adamw/AdamW.h"
#include "kernels/gradient_norm/GradientNorm.h"
#include "kernels/lamb/Lamb.h"
#include "kernels/sgd/Sgd.h"

namespace lockstep {

namespace {

// Storage that begins on a cache line, so that no vector load straddles two.
template <typename T>
struct CacheLineAllocator {
  static constexpr std::align_val_t kCacheLine{64};
  using value_type = T;
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kCacheLine)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, kCacheLine); }
  bool operator==(const CacheLineAllocator&) const = default;
};

template <typename Real>
using FlatState = std::vector<Real, CacheLineAllocator<Real>>;

template <typename Real>
class Sgd : public Optimizer {
 public:
  Sgd(const Hyperparameters& options, FlatSpans<Real> storage, std::vector<kernels::Segment> segments)
      : Optimizer(std::move(segments)),
        storage_(storage),
        nesterov_(options.nesterov),
        factor_(options.momentum),
        momentum_(options.momentum == 0 ? 0 : storage.parameters.size()) {}

  std::vector<OptimizerState> state() override {
    if (momentum_.empty()) return {};
    return {{"momentum", std::span(momentum_)}};
  }

 private:
  void update(const kernels::FlatWork& work, const kernels::FlatStep& step) override {
    kernels::sgd(kernels::SgdUpdate<Real>{storage_.parameters.data(), storage_.gradients.data(), momentum_.data(), work,
                                          &step, factor_, nesterov_});
  }

  FlatSpans<Real> storage_;
  bool nesterov_;
  double factor_;
  FlatState<Real> momentum_;
};

/// What AdamW and LAMB share.
template <typename Real>
class TwoMoments : public Optimizer {
 public:
  TwoMoments(const Hyperparameters& options, FlatSpans<Real> storage, std::vector<kernels::Segment> segments)
      : Optimizer(std::move(segments)),
        options_{.beta1 = options.beta1, .beta2 = options.beta2, .epsilon = options.epsilon},
        storage_(storage),
        first_moment_(storage.parameters.size()),
        second_moment_(storage.parameters.size()) {}

  std::vector<OptimizerState> state() override {
    return {{"first_moment", std::span(first_moment_)}, {"second_moment", std::span(second_moment_)}};
  }

 protected:
  kernels::AdamOptions options_;
  FlatSpans<Real> storage_;
  FlatState<Real> first_moment_;
  FlatState<Real> second_moment_;
};

template <typename Real>
class AdamW : public TwoMoments<Real> {
  using TwoMoments<Real>::TwoMoments;
  void update(const kernels::FlatWork& work, const kernels::FlatStep& step) override {
    kernels::adamw(kernels::AdamWUpdate<Real>{this->storage_.parameters.data(), this->storage_.gradients.data(),
                                              this->first_moment_.data(), this->second_moment_.data(), work, &step,
                                              this->options_});
  }
};

template <typename Real>
class Lamb : public TwoMoments<Real> {
  using TwoMoments<Real>::TwoMoments;
  void update(const kernels::FlatWork& work, const kernels::FlatStep& step) override {
    workspace_.resize(static_cast<std::size_t>(work.piece_count));
    kernels::lamb(kernels::LambUpdate<Real>{this->storage_.parameters.data(), this->storage_.gradients.data(),
                                            this->first_moment_.data(), this->second_moment_.data(), work,
                                            workspace_.data(), &step, this->options_});
  }

  std::vector<kernels::LambPiece> workspace_;
};

}  // namespace

Optimizer::Optimizer(std::vector<kernels::Segment> segments)
    : segments_(std::move(segments)), pieces_(kernels::pieces_of(segments_, kernels::kCpuPieceLength)) {
  for (kernels::Segment& segment : segments_) segment.step = 0;
}

void Optimizer::step(double learning_rate, double gradient_scale, const std::vector<bool>& received) {
  if (received.size() != segments_.size()) throw InternalError("the flags are not of this optimizer's segments");
  for (std::size_t i = 0; i < segments_.size(); ++i) segments_[i].skip = !received[i];
  const kernels::FlatStep step{.learning_rate = learning_rate, .gradient_scale = gradient_scale};
  kernels::advance_steps({segments_.data(), static_cast<std::int64_t>(segments_.size()), &step});
  update({segments_.data(), pieces_.data(), static_cast<std::int64_t>(pieces_.size())}, step);
}

std::vector<std::int64_t> Optimizer::steps() const {
  std::vector<std::int64_t> steps;
  for (const kernels::Segment& segment : segments_) steps.push_back(segment.step);
  return steps;
}

void Optimizer::set_steps(const std::vector<std::int64_t>& steps) {
  if (steps.size() != segments_.size()) throw InternalError("the steps are not of this optimizer's segments");
  for (std::size_t i = 0; i < steps.size(); ++i) segments_[i].step = steps[i];
}

std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, FlatStorage storage,
                                          std::vector<kernels::Segment> segments) {
  return std::visit(
      [&]<typename Real>(const FlatSpans<Real>& spans) -> std::unique_ptr<Optimizer> {
        switch (hyperparameters.optimizer) {
          case OptimizerKind::kSgd:
            return std::make_unique<Sgd<Real>>(hyperparameters, spans, std::move(segments));
          case OptimizerKind::kAdamW:
            return std::make_unique<AdamW<Real>>(hyperparameters, spans, std::move(segments));
          case OptimizerKind::kLamb:
            return std::make_unique<Lamb<Real>>(hyperparameters, spans, std::move(segments));
        }
        throw InternalError("unknown optimizer");
      },
      storage);
}

double clip_scale(double norm, double clip_norm) { return kernels::clip_scale(norm, clip_norm); }

}  // namespace lockstep
