#include "engine/artifacts/torchscript/TorchscriptState.h"

#include <utility>

#include "common/Text.h"

namespace lockstep {

namespace {

// Another name where a module has that one already: `training` and `forward` are of every module.
std::string free_name(const torch::jit::Module& module, std::string name) {
  while (name == "forward" || module.hasattr(name)) name += "_";
  return name;
}

// In inference. A class of TorchScript has no `training` but for one that it is given.
torch::jit::Module evaluating(torch::jit::Module module) {
  module.register_attribute("training", c10::BoolType::get(), false);
  return module;
}

}  // namespace

TorchscriptState::TorchscriptState(const Program& program) {
  modules_[{}] = {evaluating(torch::jit::Module(c10::QualifiedName("__torch__.lockstep.Program"), unit_)), {}};
  for (const GraphInput& input : program.graph().inputs) {
    if (input.kind == InputKind::kUserInput || paths_.contains(input.state_name)) continue;
    std::vector<std::string> names = split(input.state_name, '.');
    const std::string last = names.back();
    names.pop_back();
    Placed& holder = place(names);
    std::vector<std::string> path = holder.path;
    path.push_back(free_name(holder.module, last));
    // What is no parameter is a buffer, so that it follows the module to a device.
    holder.module.register_parameter(path.back(), own(program.tensor(input)), input.kind != InputKind::kParameter);
    paths_[input.state_name] = std::move(path);
  }
}

// The module of these names; made, with those above it, when it is not there yet.
TorchscriptState::Placed& TorchscriptState::place(const std::vector<std::string>& names) {
  if (const auto found = modules_.find(names); found != modules_.end()) return found->second;
  Placed& above = place({names.begin(), names.end() - 1});
  Placed made = {
      evaluating(torch::jit::Module(c10::QualifiedName("__torch__.lockstep.Module"), unit_, /*shouldMangle=*/true)),
      above.path};
  made.path.push_back(free_name(above.module, names.back()));
  above.module.register_module(made.path.back(), made.module);
  return modules_[names] = std::move(made);
}

// TorchScript writes whole storages: a tensor that is a part of one, as trained parameters are, is copied.
at::Tensor TorchscriptState::own(const at::Tensor& tensor) {
  at::Tensor& held = tensors_[tensor.unsafeGetTensorImpl()];
  if (!held.defined()) {
    held = tensor.detach();
    if (held.storage().nbytes() != held.nbytes()) held = held.clone();
    if (c10::isFloatingType(held.scalar_type())) held.set_requires_grad(tensor.requires_grad());
  }
  return held;
}

}  // namespace lockstep
