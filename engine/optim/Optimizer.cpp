#include "engine/optim/Optimizer.h"

#include <algorithm>
#include <new>
#include <utility>

#include "common/Error.h"
#include "kernels/adamw/AdamW.h"
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
        options_{.momentum = options.momentum, .nesterov = options.nesterov},
        storage_(storage),
        momentum_(options.momentum == 0 ? 0 : storage.parameters.size()) {}

  std::vector<OptimizerState> state() override {
    if (momentum_.empty()) return {};
    return {{"momentum", std::span(momentum_)}};
  }

 private:
  void update(std::span<const kernels::Segment> segments, double learning_rate, double gradient_scale) override {
    options_.learning_rate = learning_rate;
    options_.gradient_scale = gradient_scale;
    kernels::sgd(storage_.parameters, storage_.gradients, std::span(momentum_), segments, options_);
  }

  kernels::SgdOptions options_;
  FlatSpans<Real> storage_;
  FlatState<Real> momentum_;
};

template <typename Real>
class AdamW : public Optimizer {
 public:
  AdamW(const Hyperparameters& options, FlatSpans<Real> storage, std::vector<kernels::Segment> segments)
      : Optimizer(std::move(segments)),
        options_{.beta1 = options.beta1, .beta2 = options.beta2, .epsilon = options.epsilon},
        storage_(storage),
        first_moment_(storage.parameters.size()),
        second_moment_(storage.parameters.size()) {}

  std::vector<OptimizerState> state() override {
    return {{"first_moment", std::span(first_moment_)}, {"second_moment", std::span(second_moment_)}};
  }

 private:
  void update(std::span<const kernels::Segment> segments, double learning_rate, double gradient_scale) override {
    options_.learning_rate = learning_rate;
    options_.gradient_scale = gradient_scale;
    kernels::adamw(storage_.parameters, storage_.gradients, std::span(first_moment_), std::span(second_moment_),
                   segments, options_);
  }

  kernels::AdamWOptions options_;
  FlatSpans<Real> storage_;
  FlatState<Real> first_moment_;
  FlatState<Real> second_moment_;
};

}  // namespace

Optimizer::Optimizer(std::vector<kernels::Segment> segments) : segments_(std::move(segments)) {
  for (kernels::Segment& segment : segments_) segment.step = 0;
}

void Optimizer::step(double learning_rate, double gradient_scale, const std::vector<bool>& received) {
  if (received.size() != segments_.size()) throw InternalError("the flags are not of this optimizer's segments");
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    segments_[i].skip = !received[i];
    if (received[i]) ++segments_[i].step;
  }
  update(segments_, learning_rate, gradient_scale);
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
        }
        throw InternalError("unknown optimizer");
      },
      storage);
}

double clip_scale(double norm, double clip_norm) { return std::min(1.0, clip_norm / (norm + 1e-6)); }

}  // namespace lockstep
