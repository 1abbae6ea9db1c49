// Normalization, each by the formula in PyTorch's documentation (torch.nn).
#include <limits>

#include "engine/artifacts/primitives/PrimitiveDecompositions.h"
#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Reduction = primitive::Reduce::Kind;

Term scaled_by_channel(NodeArguments& arguments, Term x) {
  if (const auto scale = arguments.find("weight")) x = x * by_channel(*scale, x);
  if (const auto offset = arguments.find("bias")) x = x + by_channel(*offset, x);
  return x;
}

Ints all_but_channels(std::size_t rank, bool over_batch) {
  Ints dims;
  if (over_batch) dims.push_back(0);
  for (std::size_t i = 2; i < rank; ++i) dims.push_back(static_cast<std::int64_t>(i));
  return dims;
}

Term normalized_by_running(NodeArguments& arguments, const Term& x) {
  const Term mean = arguments.tensor("running_mean");
  const auto constant = [&](double value) { return filled(arguments.builder(), value, mean.type(), {mean.size(0)}); };
  const auto scale = arguments.find("weight");
  const auto offset = arguments.find("bias");
  return perform(
      primitive::BatchNorm{arguments.real("eps", 1e-5)},
      {x, scale ? *scale : constant(1), offset ? *offset : constant(0), mean, arguments.tensor("running_var")});
}

// Without running statistics it takes those of the batch that it is given, in inference too.
Term batch_norm(NodeArguments& arguments) {
  const Term x = arguments.tensor("input");
  arguments.ignore({"momentum", "cudnn_enabled"});
  if (x.rank() < 2) arguments.refuse("it takes a batch");
  if (!arguments.flag("training", false)) return normalized_by_running(arguments, x);
  if (arguments.has("running_mean")) arguments.refuse("it updates running statistics");
  arguments.ignore({"running_var"});
  return scaled_by_channel(arguments, standardized(x, all_but_channels(x.rank(), true), arguments.real("eps", 1e-5)));
}

std::vector<Term> batch_norm_alone(NodeArguments& arguments) { return {batch_norm(arguments)}; }

Term instance_norm(NodeArguments& arguments) {
  const Term x = arguments.tensor("input");
  arguments.ignore({"momentum", "cudnn_enabled"});
  if (x.rank() < 3) arguments.refuse("it takes a batch of images");
  if (!arguments.flag("use_input_stats", true)) return normalized_by_running(arguments, x);
  arguments.ignore({"running_mean", "running_var"});
  return scaled_by_channel(arguments, standardized(x, all_but_channels(x.rank(), false), arguments.real("eps", 1e-5)));
}

// Each sample's groups of channels as rows.
Term group_norm(NodeArguments& arguments) {
  const Term x = arguments.tensor("input");
  arguments.ignore({"cudnn_enabled", "N", "C", "HxW"});
  if (x.rank() < 2) arguments.refuse("it takes a batch");
  const std::int64_t groups = arguments.known(arguments.node().find("group") ? "group" : "num_groups", 1);
  const Term rows = reshape(x, {x.size(0), groups, std::int64_t{-1}});
  const Term normal = perform(primitive::LayerNorm{1, arguments.real("eps", 1e-5)}, {rows});
  return scaled_by_channel(arguments, reshape(normal, x.all_sizes()));
}

std::vector<Term> group_norm_alone(NodeArguments& arguments) { return {group_norm(arguments)}; }

Term layer_norm(NodeArguments& arguments) {
  const Term x = arguments.tensor("input");
  arguments.ignore({"cudnn_enable"});
  const std::size_t dims = arguments.integers("normalized_shape").size();
  const auto scale = arguments.find("weight");
  const auto offset = arguments.find("bias");
  std::vector<Term> inputs = {x};
  if (scale) inputs.push_back(*scale);
  if (scale && offset) inputs.push_back(*offset);
  const Term result = perform(primitive::LayerNorm{dims, arguments.real("eps", 1e-5)}, inputs);
  return offset && !scale ? result + *offset : result;
}

std::vector<Term> layer_norm_alone(NodeArguments& arguments) { return {layer_norm(arguments)}; }

double smallest_step(ElementType type) {
  switch (type) {
    case ElementType::kDouble:
      return std::numeric_limits<double>::epsilon();
    case ElementType::kHalf:
      return 0x1p-10;
    case ElementType::kBFloat16:
      return 0x1p-7;
    default:
      return std::numeric_limits<float>::epsilon();
  }
}

// x ÷ √(mean(x²) + ε) · weight.
Term rms_norm(NodeArguments& arguments) {
  const Term x = arguments.tensor("input");
  const std::size_t count = arguments.integers("normalized_shape").size();
  Ints dims;
  for (std::size_t i = x.rank() - std::min(count, x.rank()); i < x.rank(); ++i) {
    dims.push_back(static_cast<std::int64_t>(i));
  }
  const Term squares = reduce(Reduction::kMean, x * x, dims, true);
  const Term result =
      x * unary(primitive::Unary::Kind::kRsqrt, squares + arguments.real("eps", smallest_step(x.type())));
  const auto weight = arguments.find("weight");
  return weight ? result * *weight : result;
}

std::vector<Term> rms_norm_alone(NodeArguments& arguments) { return {rms_norm(arguments)}; }

}  // namespace

PrimitiveRows normalization_rows() {
  return {
      {"_batch_norm_no_update", batch_norm_alone},
      {"_fused_rms_norm", rms_norm_alone},
      {"_native_batch_norm_legit_no_training", batch_norm_alone},
      {"batch_norm", batch_norm},
      {"group_norm", group_norm},
      {"instance_norm", instance_norm},
      {"layer_norm", layer_norm},
      {"native_group_norm", group_norm_alone},
      {"native_layer_norm", layer_norm_alone},
      {"rms_norm", rms_norm},
  };
}

}  // namespace lockstep
