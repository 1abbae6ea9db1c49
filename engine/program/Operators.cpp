#include "engine/program/Operators.h"

#include "engine/program/operators/Registration.h"

namespace lockstep {

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

}  // namespace lockstep
