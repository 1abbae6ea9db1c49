#include "engine/program/Operators.h"

#include <ATen/core/Tensor.h>

#include <map>

#include "common/Error.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

// v, g, dim: the fused form, for the first and the last dimension, takes one g for each slice of v.
void guard_weight_norm(const std::vector<c10::IValue>& arguments) {
  const at::Tensor& v = arguments.at(0).toTensor();
  const at::Tensor& g = arguments.at(1).toTensor();
  const std::int64_t dim = arguments.at(2).toInt();
  if (v.numel() == 0 || v.dim() == 0) throw InputError("its weight is empty");
  if ((dim == 0 || dim == v.dim() - 1) && g.numel() != v.size(dim)) {
    throw InputError("its g has " + std::to_string(g.numel()) + " elements for " + std::to_string(v.size(dim)) +
                     " slices of its weight");
  }
}

void guard_matrix_power(const std::vector<c10::IValue>& arguments) {
  constexpr std::int64_t kMost = 1 << 20;
  const std::int64_t n = arguments.at(1).toInt();
  if (n < -kMost || n > kMost) throw InputError("a power of " + std::to_string(n) + " is out of reach");
}

}  // namespace

std::optional<c10::OperatorHandle> find_operator(const std::string& target) {
  // torch.ops.NAMESPACE.NAME.OVERLOAD; the overload without a name is written `default`.
  constexpr std::string_view prefix = "torch.ops.";
  if (!target.starts_with(prefix)) return std::nullopt;
  const std::string path = target.substr(prefix.size());
  const auto first = path.find('.');
  const auto last = path.rfind('.');
  if (first == std::string::npos || first == last) return std::nullopt;
  const std::string name = path.substr(0, first) + "::" + path.substr(first + 1, last - first - 1);
  register_operators();
  const std::string overload = path.substr(last + 1);
  return c10::Dispatcher::singleton().findSchema({name, overload == "default" ? "" : overload});
}

ArgumentGuard argument_guard(const std::string& name) {
  static const std::map<std::string, ArgumentGuard> guards = {{"aten::_weight_norm", guard_weight_norm},
                                                              {"aten::_weight_norm_interface", guard_weight_norm},
                                                              {"aten::linalg_matrix_power", guard_matrix_power},
                                                              {"aten::matrix_power", guard_matrix_power}};
  const auto found = guards.find(name);
  return found == guards.end() ? nullptr : found->second;
}

}  // namespace lockstep
