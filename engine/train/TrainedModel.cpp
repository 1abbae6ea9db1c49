#include "engine/train/TrainedModel.h"

#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/EvalForm.h"
#include "engine/train/CheckpointTensors.h"
#include "engine/train/NotFinite.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/Riders.h"
#include "engine/train/RunningStatistics.h"

namespace lockstep {

TrainedModel::TrainedModel(const Hyperparameters& hyperparameters, const Program& program, Program rewritten,
                           BucketPlan buckets, const RankContext& context, const std::vector<OptimizerKind>& optimizers)
    : program_(std::move(rewritten)),
      inference_(program_.with_graph(eval_form(program.graph()))),
      context_(context),
      parameters_(std::move(buckets), trained_tensors(program_), kRiders),
      optimizer_(make_optimizer(hyperparameters, parameters_, optimizers)),
      average_(make_average(hyperparameters.ema_decay, parameters_, program_, inference_)) {}

std::optional<TrainedModel::Average> TrainedModel::make_average(double decay, FlatParameters& parameters,
                                                                const Program& program, const Program& inference) {
  if (decay == 0) return std::nullopt;
  WeightAverage weights(decay, parameters.flat_parameters(), parameters.plan().segments());
  const std::vector<at::Tensor> views = views_of(weights.values(), parameters);
  NamedTensors tensors;
  for (std::size_t i = 0; i < views.size(); ++i) tensors["average/" + parameters.plan().names()[i]] = views[i];
  Program averaged = program.with_tensors(parameters.parameters(), views);
  Program averaged_inference = averaged.with_graph(inference.graph());
  return Average{.weights = std::move(weights),
                 .tensors = std::move(tensors),
                 .program = std::move(averaged),
                 .inference = std::move(averaged_inference)};
}

MemoryUse TrainedModel::memory() {
  const auto bytes = [](const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); };
  MemoryUse use{.parameters = bytes(parameters_.flat_parameters()), .gradients = bytes(parameters_.flat_gradients())};
  for (const OptimizerState& state : optimizer_->state()) use.optimizer += bytes(state.values);
  if (average_) use.optimizer += bytes(average_->weights.values());
  return use;
}

void TrainedModel::average_statistics() {
  average_running_statistics(program_, samples_since_average_, context_.communicator, context_.host);
  samples_since_average_ = 0;
}

// With the average of the weights, in the same form.
NamedTensors TrainedModel::optimizer_state() {
  NamedTensors tensors = optimizer_tensors(*optimizer_, parameters_);
  if (average_) tensors.insert(average_->tensors.begin(), average_->tensors.end());
  return tensors;
}

// Whether each rank gets its own back; else all begin with the average.
bool TrainedModel::has_statistics_of_ranks(const Checkpoint& checkpoint) const {
  return checkpoint.state.samples_since_average.size() == static_cast<std::size_t>(context_.host.size());
}

void TrainedModel::check_statistics(const Checkpoint& checkpoint) const {
  for (const StateTensor& entry : statistics_of_rank(program_)) {
    const auto all = checkpoint.statistics.find(entry.name);
    if (all == checkpoint.statistics.end()) {
      throw InputError("the checkpoint lacks the statistics " + in_quotes(entry.name));
    }
    if (all->second.dim() == 0 || all->second.size(0) != context_.host.size()) {
      throw InputError("the checkpoint's statistics " + in_quotes(entry.name) + " are not of " +
                       std::to_string(context_.host.size()) + " ranks");
    }
    require_tensors({{entry.name, all->second[0]}}, {{entry.name, entry.tensor}});
  }
}

void TrainedModel::check(const Checkpoint& checkpoint) {
  require_tensors(checkpoint.model, saved_tensors(inference_));
  require_tensors(checkpoint.optimizer, optimizer_state());
  for (const std::string& name : parameters_.plan().names()) {
    if (!checkpoint.state.optimizer_steps.contains(name)) {
      throw InputError("the checkpoint lacks the updates of " + name);
    }
  }
  if (has_statistics_of_ranks(checkpoint)) check_statistics(checkpoint);
  std::vector<StateTensor> numbers;
  for (const StateTensor& entry : trained_state(program_)) {
    numbers.push_back({entry.name, entry.kind, checkpoint.model.at(entry.name)});
  }
  for (const auto& [name, tensor] : checkpoint.optimizer) numbers.push_back({name, InputKind::kBuffer, tensor});
  for (const auto& [name, tensor] : checkpoint.statistics) {
    numbers.push_back({"the ranks' " + name, InputKind::kBuffer, tensor});
  }
  require_finite_checkpoint(numbers);
}

void TrainedModel::restore(const Checkpoint& checkpoint) {
  restore_tensors(checkpoint.model, saved_tensors(inference_));
  restore_tensors(checkpoint.optimizer, optimizer_state());
  if (average_) average_->weights.set_updates(checkpoint.state.average_updates);
  std::vector<std::int64_t> steps;
  for (const std::string& name : parameters_.plan().names()) {
    steps.push_back(checkpoint.state.optimizer_steps.at(name));
  }
  optimizer_->set_steps(steps);
  if (has_statistics_of_ranks(checkpoint)) restore_statistics(checkpoint);
}

void TrainedModel::restore_statistics(const Checkpoint& checkpoint) {
  const int rank = context_.host.rank();
  NamedTensors rows;
  NamedTensors mine;
  for (const StateTensor& entry : statistics_of_rank(program_)) {
    rows[entry.name] = checkpoint.statistics.at(entry.name)[rank];
    mine[entry.name] = entry.tensor;
  }
  restore_tensors(rows, mine);
  samples_since_average_ = checkpoint.state.samples_since_average[static_cast<std::size_t>(rank)];
}

Checkpoint TrainedModel::tensors() {
  return {
      .state = {}, .model = saved_tensors(inference_), .optimizer = optimizer_state(), .statistics = {}, .best = {}};
}

void TrainedModel::save(Checkpoint& checkpoint) {
  checkpoint.model = saved_tensors(inference_);
  checkpoint.optimizer = optimizer_state();
  if (average_) checkpoint.state.average_updates = average_->weights.updates();
  checkpoint.statistics = gather_running_statistics(program_, context_.host);
  std::vector<std::int64_t>& samples = checkpoint.state.samples_since_average;
  samples.resize(static_cast<std::size_t>(context_.host.size()));
  context_.host.all_gather(&samples_since_average_, samples.data(), 1, DataType::kInt64)->wait();
  for (const auto& [name, average] : averaged(checkpoint.statistics, samples)) checkpoint.model[name] = average;
  const std::vector<std::int64_t> steps = optimizer_->steps();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    checkpoint.state.optimizer_steps[parameters_.plan().names()[i]] = steps[i];
  }
}

}  // namespace lockstep
