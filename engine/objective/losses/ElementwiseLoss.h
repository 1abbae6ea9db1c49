// Losses of numbers, each beside its target.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "engine/objective/Loss.h"

namespace lockstep {

/// A loss with a value for each number of the targets: Σ weight · value / Σ weight over all of them, where a number
/// weighs what its sample does. Targets and outputs are of the same number of samples and of elements, and of the same
/// sizes but for ones where a sample's target has more than one dimension. A kind says what a value is, and where it
/// differs, what of the output is beside the targets and which of them count.
class ElementwiseLoss : public Loss {
 public:
  /// `name`: for messages.
  explicit ElementwiseLoss(std::string name) : name_(std::move(name)) {}

  bool class_labels() const override { return false; }
  std::int64_t positions(const at::Tensor& output) const final;
  LossTerms terms(const at::Tensor& output, const at::Tensor& targets, const at::Tensor& sample_weights) const final;
  Compared compared(const at::Tensor& output, const at::Tensor& targets, const at::Tensor& sample_weights) const final;

 protected:
  const std::string& name() const { return name_; }
  /// `output`: at least float32; `targets`: of the sizes of `beside(output)`. `reduction`: at::Reduction, none or sum.
  virtual at::Tensor values(const at::Tensor& output, const at::Tensor& targets, std::int64_t reduction) const = 0;
  /// A view of the output with one element for each target. Throws InputError for an output without.
  virtual at::Tensor beside(const at::Tensor& output) const { return output; }
  /// What the output says that the targets are, for metrics.
  virtual at::Tensor predicted(const at::Tensor& output) const { return beside(output); }
  /// Which targets count, as booleans; undefined: all do.
  virtual at::Tensor counts(const at::Tensor& /*targets*/) const { return {}; }

 private:
  at::Tensor weights(const at::Tensor& targets, const at::Tensor& sample_weights) const;

  std::string name_;
};

}  // namespace lockstep
