// Losses that a program computes itself, as torch.nn.functional documents them.
#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Reduction = primitive::Reduce::Kind;

constexpr std::int64_t kMean = 1;
constexpr std::int64_t kSum = 2;

Term total(const Term& x) { return reduce(Reduction::kSum, x, all_dims(x.rank()), false); }

// As the argument `reduction` says; a mean divides by `weight`'s sum.
Term reduced_loss(NodeArguments& arguments, const Term& loss, const std::optional<Term>& weight = std::nullopt) {
  const std::int64_t reduction = arguments.known("reduction", kMean);
  if (reduction == kSum) return total(loss);
  if (reduction != kMean) return loss;
  return weight ? total(loss) / total(*weight) : reduce(Reduction::kMean, loss, all_dims(loss.rank()), false);
}

/// Of each position: what its class weighs, 0 where it is ignored, and the class, 0 there.
struct Labels {
  Term weight;
  Term classes;
};

Labels labels_of(NodeArguments& arguments, const Term& scores) {
  const Term target = cast(arguments.tensor("target"), ElementType::kInt64);
  const Term ignored = equal(target, number_like(target, arguments.number("ignore_index", std::int64_t{-100})));
  const Term classes = select(ignored, number_like(target, std::int64_t{0}), target);
  const auto weights = arguments.find("weight");
  const Term weight = weights ? gather(*weights, classes, 0) : number_like(scores, 1.0);
  return {select(ignored, number_like(scores, 0.0), weight), classes};
}

std::size_t class_dim(const Term& scores) { return scores.rank() == 1 ? 0 : 1; }

// Of each position: the logarithm of its class's probability, weighed.
Term picked(const Term& logarithms, const Labels& labels) {
  const std::size_t dim = class_dim(logarithms);
  const Term own = perform(primitive::GatherElements{dim}, {logarithms, unsqueeze(labels.classes, dim)});
  return squeeze(own, {static_cast<std::int64_t>(dim)}) * labels.weight;
}

std::vector<Term> negative_log_likelihood(NodeArguments& arguments) {
  const Term logarithms = arguments.tensor("self");
  const Labels labels = labels_of(arguments, logarithms);
  return {reduced_loss(arguments, -picked(logarithms, labels), labels.weight)};
}

Term negative_log_likelihood_alone(NodeArguments& arguments) { return negative_log_likelihood(arguments).at(0); }

Term cross_entropy(NodeArguments& arguments) {
  const Term scores = arguments.tensor("self");
  if (is_real(arguments.tensor("target").type())) arguments.refuse("its targets are probabilities");
  const Term logarithms = softmax(scores, class_dim(scores), true);
  const Labels labels = labels_of(arguments, scores);
  Term loss = -picked(logarithms, labels);
  const double smoothing = arguments.real("label_smoothing", 0);
  if (smoothing != 0) {
    if (arguments.has("weight")) arguments.refuse("it smooths labels of weighed classes");
    const auto dim = static_cast<std::int64_t>(class_dim(scores));
    const Term even = -reduce(Reduction::kMean, logarithms, {dim}, false) * labels.weight;
    loss = loss * (1 - smoothing) + even * smoothing;
  }
  return reduced_loss(arguments, loss, labels.weight);
}

// (1 - y) · x + (1 + (p - 1) · y) · log(1 + exp(-x)), where p weighs what is true.
Term binary_cross_entropy(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Term y = cast(arguments.tensor("target"), x.type());
  Term softplus = unary(primitive::Unary::Kind::kSoftplus, -x);
  if (const auto positive = arguments.find("pos_weight")) softplus = softplus * ((*positive - 1.0) * y + 1.0);
  Term loss = (1.0 - y) * x + softplus;
  if (const auto weight = arguments.find("weight")) loss = loss * *weight;
  return reduced_loss(arguments, loss);
}

Term squared_error(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term distance = cast(arguments.tensor("self"), type) - cast(arguments.tensor("target"), type);
  return reduced_loss(arguments, distance * distance);
}

Term absolute_error(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term distance = cast(arguments.tensor("self"), type) - cast(arguments.tensor("target"), type);
  return reduced_loss(arguments, unary(primitive::Unary::Kind::kAbsolute, distance));
}

}  // namespace

PrimitiveRows loss_rows() {
  return {
      {"binary_cross_entropy_with_logits", binary_cross_entropy},
      {"cross_entropy_loss", cross_entropy},
      {"l1_loss", absolute_error},
      {"mse_loss", squared_error},
      {"nll_loss", negative_log_likelihood_alone},
      {"nll_loss_forward", negative_log_likelihood},
      {"nll_loss_nd", negative_log_likelihood_alone},
  };
}

}  // namespace lockstep
