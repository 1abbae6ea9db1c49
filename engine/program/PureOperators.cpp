#include "engine/program/PureOperators.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Aliases.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/Operators.h"

namespace lockstep {

namespace {

// Families of operators by their names. What is known against a single operator is in its traits.
struct Family {
  std::vector<std::string_view> prefixes;
  std::vector<std::string_view> parts;  // anywhere in the name
  std::string_view reason;
};

const std::vector<Family>& refused_families() {
  static const std::vector<Family> families = {
      {{"retain", "requires_grad"}, {"resize"}, "it changes the storage of a tensor, or what autograd does with it"},
      {{"ccol_", "col_indices", "crow_", "nested_", "row_indices", "to_padded"},
       {"sparse", "mkldnn"},
       "its tensors are not strided ones"},
      {{"fbgemm_", "q_", "quantize"}, {}, "its tensors are quantized"},
      {{"batch_norm_", "cudnn_", "miopen_"},
       {"_backward", "_jvp", "slow_conv"},
       "it is a part of another operator, which checks its arguments"},
      {{"is_"}, {}, "it does not compute tensors"},
      {{}, {"polynomial"}, "its time grows with the values it is given, without an end"},
  };
  return families;
}

bool holds(const Family& family, const std::string& name) {
  const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
  const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  return std::ranges::any_of(family.prefixes, begins) || std::ranges::any_of(family.parts, has);
}

bool is_plain(c10::TypePtr type) {
  for (;;) {
    if (const auto optional = type->cast<c10::OptionalType>()) {
      type = optional->getElementType();
    } else if (const auto list = type->cast<c10::ListType>()) {
      type = list->getElementType();
    } else {
      break;
    }
  }
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::NumberType:
    case c10::TypeKind::StringType:
    case c10::TypeKind::DeviceObjType:
    case c10::TypeKind::GeneratorType:
      return true;
    default:
      return false;
  }
}

// Why the operator may do more than compute, or "".
std::string impurity(const Node& node, const c10::OperatorHandle& handle) {
  const std::string name = node.aten_name();
  if (name.empty()) return "it is not one of PyTorch's own (aten)";
  const OperatorTraits& traits = operator_traits(node);
  const bool safe = !traits.safe_overload.empty() && node.target.ends_with("." + std::string(traits.safe_overload));
  if (!traits.refusal.empty() && !safe) return std::string(traits.refusal);
  for (const Family& family : refused_families()) {
    if (holds(family, name)) return std::string(family.reason);
  }
  // PyTorch's own parts, which trust their callers about sizes.
  if (name.starts_with('_') && !traits.checks_arguments) {
    return "it is an inner part of PyTorch, which trusts its arguments";
  }
  for (const c10::Argument& argument : handle.schema().arguments()) {
    if (!is_plain(argument.type())) return "it takes " + in_quotes(argument.name()) + ", a " + argument.type()->str();
    const bool written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
    if (written && !(node.in_place() && argument.name() == "self")) {
      return "it writes into its argument " + in_quotes(argument.name());
    }
  }
  for (const c10::Argument& returned : handle.schema().returns()) {
    if (!is_plain(returned.type())) return "it returns a " + returned.type()->str();
  }
  return "";
}

}  // namespace

void require_pure(const Graph& graph, const std::vector<std::string>& allowed) {
  constexpr std::string_view prefix = "torch.ops.";
  std::set<std::string> state;  // and what may be the same tensor
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  for (const Node& node : graph.nodes) {
    if (node.target.starts_with("torch.ops.lockstep.")) {  // passes put them in, and check first what they take
      throw InputError(describe(node) + " is not one of PyTorch's");
    }
    const auto handle = find_operator(node.target);
    if (!handle) continue;
    const std::string name = node.target.substr(prefix.size());
    const std::vector<std::string> read = node.tensors();
    const bool of_state = std::ranges::any_of(read, [&](const std::string& value) { return state.contains(value); });
    if (std::ranges::count(allowed, name) == 0) {
      std::string reason = impurity(node, *handle);
      if (reason.empty() && handle->hasTag(at::Tag::inplace_view) && state.contains(node.tensor("self"))) {
        reason = "it would change sizes or strides of a parameter, buffer or constant for all later steps";
      }
      if (!reason.empty()) {
        throw InputError(describe(node) + " is not run: " + reason +
                         ". A program may call operators that only compute tensors; if you trust this one, set the "
                         "hyperparameter allow_operators=" +
                         name);
      }
    }
    if (!of_state || !may_share_memory(node)) continue;
    for (const std::string& result : node.results()) state.insert(result);
  }
}

}  // namespace lockstep
