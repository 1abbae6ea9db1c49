#include "engine/train/ParameterStorage.h"

#include <ATen/core/Tensor.h>

#include <set>

#include "common/Error.h"
#include "engine/optim/ParameterGroups.h"

namespace lockstep {

namespace {

constexpr double kMiB = 1024 * 1024;

std::vector<std::string> names_of_untrained(const Program& program) {
  std::set<std::string> trained;
  for (const StateTensor& parameter : program.trained_parameters()) {
    for (const std::string& name : program.names_of(parameter.tensor)) trained.insert(name);
  }
  std::vector<std::string> names;
  for (const StateTensor& entry : program.state()) {
    if (entry.kind == InputKind::kParameter && !trained.contains(entry.name)) names.push_back(entry.name);
  }
  return names;
}

}  // namespace

BucketPlan make_bucket_plan(const Hyperparameters& hyperparameters, const Program& program, int ranks) {
  const std::vector<StateTensor> parameters = program.trained_parameters();
  if (parameters.empty()) {
    throw InputError(
        "the program " + program.name() + " has no parameter to train" +
        (program.parameter_count() > 0 ? ": all that its operators use are frozen (requires_grad=False)" : ""));
  }
  std::vector<std::vector<std::string>> names;
  for (const StateTensor& parameter : parameters) names.push_back(program.names_of(parameter.tensor));
  const auto groups =
      assign_groups(names, hyperparameters.parameter_groups, hyperparameters.weight_decay, names_of_untrained(program));
  std::vector<ParameterLayout> layouts;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    layouts.push_back({.name = parameters[i].name,
                       .elements = parameters[i].tensor.numel(),
                       .weight_decay = groups[i].weight_decay.value(),
                       .learning_rate_factor = groups[i].learning_rate_factor,
                       .matrix = parameters[i].tensor.dim() == 2 && groups[i].optimizer.empty()});
  }
  return BucketPlan(layouts, static_cast<std::int64_t>(parameters[0].tensor.element_size()),
                    hyperparameters.bucket_cap_mb * kMiB, hyperparameters.shard_optimizer ? ranks : 1);
}

std::vector<at::Tensor> trained_tensors(const Program& program) {
  std::vector<at::Tensor> tensors;
  for (const StateTensor& entry : program.trained_parameters()) tensors.push_back(entry.tensor);
  return tensors;
}

std::unique_ptr<Optimizer> make_optimizer(const Hyperparameters& hyperparameters, FlatParameters& parameters,
                                          const std::vector<OptimizerKind>& kinds) {
  return make_optimizer(hyperparameters,
                        {.parameters = parameters.flat_parameters(),
                         .gradients = parameters.flat_gradients(),
                         .by_segment = parameters.parameters(),
                         .owned = parameters.owned()},
                        parameters.plan().segments(), kinds);
}

std::vector<at::Tensor> views_of(const at::Tensor& flat, const FlatParameters& parameters) {
  std::vector<at::Tensor> views;
  for (std::size_t i = 0; i < parameters.parameters().size(); ++i) {
    const at::Tensor& like = parameters.parameters()[i];
    views.push_back(
        flat.as_strided(like.sizes(), like.strides(), flat.storage_offset() + parameters.plan().segments()[i].offset));
  }
  return views;
}

NamedTensors state_tensors(const std::string& name, const at::Tensor& flat, const FlatParameters& parameters) {
  NamedTensors tensors;
  const std::vector<at::Tensor> views = views_of(flat, parameters);
  for (std::size_t i = 0; i < views.size(); ++i) tensors[name + "/" + parameters.plan().names()[i]] = views[i];
  return tensors;
}

}  // namespace lockstep
