// Attention, as torch.nn.functional.scaled_dot_product_attention documents it.
#include <cmath>
#include <limits>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Reduction = primitive::Reduce::Kind;

double lowest(ElementType type) {
  switch (type) {
    case ElementType::kDouble:
      return std::numeric_limits<double>::lowest();
    case ElementType::kHalf:
      return -65504;
    default:
      return -0x1.FEp127;  // bfloat16's, of which float32 has larger ones: exp makes 0 of either
  }
}

// Each of [batch, groups, length, width] `times` times in a row: [batch, groups · times, length, width].
Term for_each_head(const Term& x, std::int64_t times) {
  Integers sizes = x.all_sizes();
  const std::size_t groups = x.rank() - 3;
  Integers wide = sizes;
  wide.insert(wide.begin() + static_cast<std::ptrdiff_t>(groups) + 1, times);
  sizes[groups] = multiply(x.builder(), sizes[groups], times);
  return reshape(broadcast(unsqueeze(x, groups + 1), wide), sizes);
}

std::int64_t heads_in_a_group(NodeArguments& arguments, const Term& query, const Term& key) {
  const std::vector<Dimension> heads = query.sizes();
  const std::vector<Dimension> groups = key.sizes();
  if (heads.size() < 3 || heads.size() != groups.size()) arguments.refuse("it has no heads");
  const auto* all = std::get_if<std::int64_t>(&heads[heads.size() - 3]);
  const auto* fewer = std::get_if<std::int64_t>(&groups[groups.size() - 3]);
  if (!all || !fewer || *fewer < 1 || *all % *fewer != 0) arguments.refuse("its heads are no multiple of its groups");
  return *all / *fewer;
}

// [queries, keys]: whether the key is no later than the query.
Term no_later(const Term& scores) {
  PrimitiveBuilder& builder = scores.builder();
  const Integer queries = scores.size(scores.rank() - 2);
  const Integer keys = scores.size(scores.rank() - 1);
  return less_equal(unsqueeze(range(builder, std::int64_t{0}, keys), 0),
                    unsqueeze(range(builder, std::int64_t{0}, queries), 1));
}

// Weights of what a mask of truths lets through. A query for which it lets nothing through gets 0.
Term masked_weights(const Term& scores, const Term& mask, bool may_be_empty) {
  const std::size_t last = scores.rank() - 1;
  const Term weights = softmax(select(mask, scores, number_like(scores, lowest(scores.type()))), last);
  if (!may_be_empty) return weights;
  const Term some = reduce(Reduction::kAny, mask, {static_cast<std::int64_t>(mask.rank()) - 1}, true);
  return select(some, weights, number_like(scores, 0.0));
}

Term added_weights(const Term& scores, const Term& mask) {
  const Term moved = scores + mask;
  const Term most = reduce(Reduction::kMax, moved, {static_cast<std::int64_t>(moved.rank()) - 1}, true);
  const Term none = equal(most, number_like(moved, -std::numeric_limits<double>::infinity()));
  return select(none, number_like(moved, 0.0), softmax(moved, moved.rank() - 1));
}

Term attention(NodeArguments& arguments) {
  Term query = arguments.tensor("query");
  Term key = arguments.tensor("key");
  Term value = arguments.tensor("value");
  if (arguments.real("dropout_p", 0) != 0) arguments.refuse("it drops at random");
  if (arguments.flag("enable_gqa", false)) {
    const std::int64_t times = heads_in_a_group(arguments, query, key);
    if (times != 1) key = for_each_head(key, times);
    const std::int64_t of_values = heads_in_a_group(arguments, query, value);
    if (of_values != 1) value = for_each_head(value, of_values);
  }
  double scale = 0;
  if (arguments.has("scale")) {
    scale = arguments.real("scale", 1);
  } else {
    const std::vector<Dimension> sizes = query.sizes();
    const auto* width = std::get_if<std::int64_t>(&sizes.at(sizes.size() - 1));
    if (!width || *width < 1) arguments.refuse("its width is only known at run time");
    scale = 1 / std::sqrt(static_cast<double>(*width));
  }
  const Term scores = product(query * scale, key, true);
  const bool causal = arguments.flag("is_causal", false);
  const auto mask = arguments.find("attn_mask");
  if (mask && causal) arguments.refuse("it has a mask and is causal");
  if (causal) return product(masked_weights(scores, no_later(scores), false), value);
  if (!mask) return product(softmax(scores, scores.rank() - 1), value);
  if (mask->rank() < 1) arguments.refuse("its mask has no dimensions");
  const bool truths = mask->type() == ElementType::kBool;
  const Term weights = truths ? masked_weights(scores, *mask, true) : added_weights(scores, cast(*mask, scores.type()));
  return product(weights, value);
}

}  // namespace

PrimitiveRows attention_rows() { return {{"scaled_dot_product_attention", attention}}; }

}  // namespace lockstep
