#include "engine/artifacts/primitives/PrimitiveSimplification.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveEvaluation.h"
#include "engine/artifacts/primitives/PrimitiveInference.h"
#include "engine/artifacts/primitives/PrimitiveLowering.h"
#include "engine/artifacts/primitives/PrimitiveRewriting.h"

namespace lockstep {

namespace {

using Rewritten = std::optional<std::vector<Term>>;

constexpr std::size_t kLargestFolded = 64 << 10;  // bytes of a constant that takes the place of smaller ones

const primitive::Constant* constant_of(const Term& x) {
  const PrimitiveNode* node = x.builder().maker(x.id());
  return node ? std::get_if<primitive::Constant>(&node->operation) : nullptr;
}

// The input of the operation `x` comes from, where that is an Operation.
template <typename Operation>
std::optional<Term> before(const Term& x) {
  const PrimitiveNode* node = x.builder().maker(x.id());
  if (!node || !std::holds_alternative<Operation>(node->operation)) return std::nullopt;
  return Term(x.builder(), node->inputs.at(0));
}

bool is_elementwise(const primitive::Operation& operation) {
  return std::holds_alternative<primitive::Unary>(operation) || std::holds_alternative<primitive::Binary>(operation) ||
         std::holds_alternative<primitive::Select>(operation) || std::holds_alternative<primitive::Cast>(operation);
}

at::Tensor tensor_of(const primitive::Constant& constant) { return evaluate(constant, {}, {}).at(0); }

Term constant_term(PrimitiveBuilder& builder, const at::Tensor& tensor) {
  const at::Tensor row_major = tensor.contiguous();
  std::string bytes;
  if (row_major.numel() > 0) bytes.assign(static_cast<const char*>(row_major.const_data_ptr()), row_major.nbytes());
  const auto type = static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type()));
  return {builder, builder.constant({type, tensor.sizes().vec(), std::move(bytes)})};
}

// Bytes of the results, where all sizes are known.
std::optional<std::size_t> bytes_of(const std::vector<PrimitiveValue>& values) {
  std::size_t bytes = 0;
  for (const PrimitiveValue& value : values) {
    std::size_t own = size_of(value.type);
    for (const Dimension& size : value.sizes) {
      const auto* known = std::get_if<std::int64_t>(&size);
      if (!known || __builtin_mul_overflow(own, static_cast<std::size_t>(*known), &own)) return std::nullopt;
    }
    bytes += own;
  }
  return bytes;
}

Rewritten folded(const PrimitiveNode& node, const std::vector<Term>& inputs, PrimitiveBuilder& builder) {
  if (std::holds_alternative<primitive::Constant>(node.operation) || inputs.empty()) return std::nullopt;
  std::vector<at::Tensor> tensors;
  std::vector<PrimitiveValue> values;
  std::size_t given = kLargestFolded;
  for (const Term& input : inputs) {
    const primitive::Constant* constant = constant_of(input);
    if (!constant) return std::nullopt;
    tensors.push_back(tensor_of(*constant));
    values.push_back(builder.value(input.id()));
    given = std::max(given, constant->bytes.size());
  }
  Ints integers;
  for (const Integer& integer : integers_of(node.operation)) {
    if (!std::holds_alternative<std::int64_t>(integer)) return std::nullopt;
    integers.push_back(std::get<std::int64_t>(integer));
  }
  const SizeNames unknown = {.fresh = [] { return Dimension("?"); },
                             .of = [](const Integer& integer) { return std::get<std::int64_t>(integer); }};
  const bool range = std::holds_alternative<primitive::Range>(node.operation);  // its size follows from its elements
  const auto bytes = bytes_of(infer(node.operation, values, unknown));
  if (!range && (!bytes || *bytes > given)) return std::nullopt;
  std::vector<Term> terms;
  for (const at::Tensor& result : evaluate(node.operation, tensors, integers)) {
    if (result.nbytes() > given) return std::nullopt;
    terms.push_back(constant_term(builder, result));
  }
  return terms;
}

// An elementwise operation on tensors whose elements are all the same is done once.
Rewritten of_equal_elements(const PrimitiveNode& node, const std::vector<Term>& inputs) {
  if (!is_elementwise(node.operation)) return std::nullopt;
  std::vector<Term> scalars;
  std::optional<Integers> sizes;
  for (const Term& input : inputs) {
    const std::optional<Term> small = before<primitive::Broadcast>(input);
    const Term scalar = small ? *small : input;
    if (scalar.rank() != 0 || !constant_of(scalar)) return std::nullopt;
    scalars.push_back(scalar);
    if (!small) continue;
    const Integers own = integers_of(input.builder().maker(input.id())->operation);
    if (sizes && *sizes != own) return std::nullopt;
    sizes = own;
  }
  if (!sizes) return std::nullopt;
  const PrimitiveNode once{.operation = node.operation, .inputs = {}, .outputs = {}};
  const Rewritten value = folded(once, scalars, inputs[0].builder());
  return value ? Rewritten({broadcast(value->at(0), *sizes)}) : std::nullopt;
}

// A reader that broadcasts gets what is smaller, unless its output would be smaller too.
Rewritten without_broadcast(const PrimitiveNode& node, const std::vector<Term>& inputs, PrimitiveBuilder& builder) {
  if (!std::holds_alternative<primitive::Binary>(node.operation) &&
      !std::holds_alternative<primitive::Select>(node.operation)) {
    return std::nullopt;
  }
  const SizeNames names = {.fresh = [] { return Dimension("?"); },
                           .of = [&](const Integer& integer) { return builder.dimension(integer); }};
  const auto sizes_of = [&](const std::vector<Term>& terms) {
    std::vector<PrimitiveValue> values;
    for (const Term& term : terms) values.push_back(builder.value(term.id()));
    return infer(node.operation, values, names).at(0).sizes;
  };
  std::vector<Term> smaller = inputs;
  bool changed = false;
  for (Term& input : smaller) {
    const std::optional<Term> small = before<primitive::Broadcast>(input);
    if (!small) continue;
    const std::vector<Dimension> sizes = sizes_of(smaller);
    const Term whole = std::exchange(input, *small);
    if (sizes_of(smaller) == sizes) {
      changed = true;
    } else {
      input = whole;
    }
  }
  return changed ? Rewritten({perform(node.operation, smaller)}) : std::nullopt;
}

bool all_elements_are(const Term& x, double value) {
  std::optional<Term> source = before<primitive::Broadcast>(x);
  const primitive::Constant* constant = constant_of(source ? *source : x);
  if (!constant || constant->bytes.size() > kLargestFolded) return false;
  const at::Tensor tensor = tensor_of(*constant);
  return at::all(at::eq(tensor, value)).item<bool>();
}

// Whether it says which elements of a tensor are negative that has none: of indices, from which end they count.
bool asks_for_negative(const Term& x) {
  const PrimitiveNode* node = x.builder().maker(x.id());
  const auto* binary = node ? std::get_if<primitive::Binary>(&node->operation) : nullptr;
  if (!binary || binary->kind != primitive::Binary::Kind::kLess) return false;
  const std::vector<ValueId> inputs = node->inputs;
  return never_negative(Term(x.builder(), inputs[0])) && all_elements_are(Term(x.builder(), inputs[1]), 0);
}

// x · 1, x ÷ 1, x + 0, x - 0, what is and true, or false, and the choice that a constant makes.
Rewritten without_effect(const PrimitiveNode& node, const std::vector<Term>& inputs) {
  using Kind = primitive::Binary::Kind;
  const auto stays = [&](std::size_t kept, const std::vector<std::size_t>& others) {
    const std::vector<Dimension> sizes = inputs[kept].sizes();
    const SizeNames names = {.fresh = [] { return Dimension("?"); },
                             .of = [](const Integer&) { return Dimension("?"); }};
    return std::ranges::all_of(
        others, [&](std::size_t other) { return broadcast_sizes(sizes, inputs[other].sizes(), names) == sizes; });
  };
  if (std::holds_alternative<primitive::Select>(node.operation)) {
    if (all_elements_are(inputs[0], 1) && stays(1, {0, 2})) return {{inputs[1]}};
    if ((all_elements_are(inputs[0], 0) || asks_for_negative(inputs[0])) && stays(2, {0, 1})) return {{inputs[2]}};
    return std::nullopt;
  }
  const auto* binary = std::get_if<primitive::Binary>(&node.operation);
  if (!binary) return std::nullopt;
  const bool product = binary->kind == Kind::kMultiply;
  const bool sum = binary->kind == Kind::kAdd;
  const bool quotient = binary->kind == Kind::kDivide || binary->kind == Kind::kPower;
  const bool both = binary->kind == Kind::kAnd;
  const bool either = binary->kind == Kind::kOr;
  const bool any = product || sum || quotient || both || either || binary->kind == Kind::kSubtract;
  if (!any) return std::nullopt;
  const double neutral = product || quotient || both ? 1 : 0;
  if (stays(0, {1}) && all_elements_are(inputs[1], neutral)) return {{inputs[0]}};
  if ((product || sum || both || either) && stays(1, {0}) && all_elements_are(inputs[0], neutral)) return {{inputs[1]}};
  return std::nullopt;
}

Rewritten joined_with_before(const PrimitiveNode& node, const std::vector<Term>& inputs) {
  if (const auto* reshape = std::get_if<primitive::Reshape>(&node.operation)) {
    const std::optional<Term> x = before<primitive::Reshape>(inputs[0]);
    return x ? Rewritten({perform(*reshape, {*x})}) : std::nullopt;
  }
  if (const auto* unsqueeze = std::get_if<primitive::Unsqueeze>(&node.operation)) {
    const std::optional<Term> x = before<primitive::Unsqueeze>(inputs[0]);
    if (!x) return std::nullopt;
    Ints dims;  // the earlier ones, moved behind those that were put before them
    for (std::int64_t dim : std::get<primitive::Unsqueeze>(x->builder().maker(inputs[0].id())->operation).dims) {
      for (const std::int64_t later : unsqueeze->dims) dim += later <= dim ? 1 : 0;
      dims.push_back(dim);
    }
    dims.insert(dims.end(), unsqueeze->dims.begin(), unsqueeze->dims.end());
    std::ranges::sort(dims);
    return {{perform(primitive::Unsqueeze{dims}, {*x})}};
  }
  if (const auto* transposed = std::get_if<primitive::Transpose>(&node.operation)) {
    const std::optional<Term> x = before<primitive::Transpose>(inputs[0]);
    if (!x) return std::nullopt;
    const auto first = std::get<primitive::Transpose>(x->builder().maker(inputs[0].id())->operation);
    Ints axes;
    for (const std::int64_t axis : transposed->axes) axes.push_back(first.axes.at(static_cast<std::size_t>(axis)));
    return {{transpose(*x, axes)}};
  }
  return std::nullopt;
}

}  // namespace

PrimitiveGraph simplified(const PrimitiveGraph& graph) {
  return rewritten(graph, [](const PrimitiveNode& node, const std::vector<Term>& inputs) -> Rewritten {
    if (inputs.empty()) return std::nullopt;
    PrimitiveBuilder& builder = inputs[0].builder();
    if (Rewritten terms = folded(node, inputs, builder)) return terms;
    if (Rewritten terms = of_equal_elements(node, inputs)) return terms;
    if (Rewritten terms = without_effect(node, inputs)) return terms;
    if (Rewritten terms = without_broadcast(node, inputs, builder)) return terms;
    return joined_with_before(node, inputs);
  });
}

PrimitiveGraph primitives_of(const Program& program) {
  TiedNames tied;
  std::map<const void*, std::string> first;  // tensor → the name it was met under
  for (const StateTensor& entry : program.state()) {
    const auto [found, is_new] = first.emplace(entry.tensor.unsafeGetTensorImpl(), entry.name);
    if (!is_new) tied[entry.name] = found->second;
  }
  return simplified(lower_to_primitives(program.graph(), tied));
}

std::vector<at::Tensor> primitive_state(const PrimitiveGraph& graph, const Program& program) {
  std::map<std::string, at::Tensor> by_name;
  for (const StateTensor& entry : program.state()) by_name[entry.name] = entry.tensor.detach();
  std::vector<at::Tensor> tensors;
  for (const PrimitiveState& state : graph.state) tensors.push_back(by_name.at(state.names.at(0)));
  return tensors;
}

}  // namespace lockstep
