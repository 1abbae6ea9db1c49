#include "engine/train/TrainedModel.h"

#include <c10/core/GradMode.h>

#include <functional>
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

namespace {

constexpr const char* kAverage = "average";

at::Tensor copy_on_host(const at::Tensor& tensor) {
  return tensor.to(at::kCPU, tensor.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

TrainedModel::TrainedModel(const Hyperparameters& hyperparameters, const Program& program, Program rewritten,
                           BucketPlan buckets, const RankContext& context, const std::vector<OptimizerKind>& optimizers)
    : program_(std::move(rewritten)),
      inference_(program_.with_graph(eval_form(program.graph()))),
      context_(context),
      parameters_(std::move(buckets), trained_tensors(program_), kRiders, context.host.rank()),
      optimizer_(make_optimizer(hyperparameters, parameters_, optimizers)),
      average_(make_average(hyperparameters.ema_decay, parameters_, program_, inference_)) {
  const bool same_clipping = hyperparameters.deterministic && hyperparameters.clip_norm > 0;
  if (parameters_.plan().shares() > 1) shared_.emplace(parameters_, context_.communicator, same_clipping);
}

std::optional<TrainedModel::Average> TrainedModel::make_average(double decay, FlatParameters& parameters,
                                                                const Program& program, const Program& inference) {
  if (decay == 0) return std::nullopt;
  WeightAverage weights(decay, parameters.flat_parameters(), parameters.plan().segments());
  NamedTensors tensors = state_tensors(kAverage, weights.values(), parameters);
  Program averaged = program.with_tensors(parameters.parameters(), views_of(weights.values(), parameters));
  Program averaged_inference = averaged.with_graph(inference.graph());
  return Average{.weights = std::move(weights),
                 .tensors = std::move(tensors),
                 .program = std::move(averaged),
                 .inference = std::move(averaged_inference)};
}

MemoryUse TrainedModel::memory() {
  const auto bytes = [](const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); };
  MemoryUse use{.parameters = bytes(parameters_.flat_parameters()),
                .gradients = bytes(parameters_.flat_gradients()),
                .optimizer_shares = parameters_.plan().shares()};
  for (const OptimizerState& state : optimizer_->state()) use.optimizer += bytes(state.values);
  if (average_) use.average = bytes(average_->weights.values());
  return use;
}

std::int64_t TrainedModel::bytes_made_whole() {
  if (!shared_) return 0;
  const std::size_t storages = optimizer_->state().size() + (average_ ? 1 : 0);
  return static_cast<std::int64_t>(storages * parameters_.flat_parameters().nbytes());
}

void TrainedModel::average_statistics() {
  average_running_statistics(program_, samples_since_average_, context_.communicator, context_.host);
  samples_since_average_ = 0;
}

// As checkpoints name it, with the average of the weights in the same form. `whole`: from a storage of the optimizer's
// to one of the parameters' layout.
template <typename Whole>
NamedTensors TrainedModel::optimizer_state(const Whole& whole) {
  NamedTensors tensors;
  for (const OptimizerState& state : optimizer_->state()) {
    tensors.merge(state_tensors(state.name, whole(state.values), parameters_));
  }
  if (average_) tensors.insert(average_->tensors.begin(), average_->tensors.end());
  return tensors;
}

// A collective. The same, all of it in memory that nobody else has: only on ranks that write it, one storage after
// another.
NamedTensors TrainedModel::gathered_state(bool writes) {
  NamedTensors tensors;
  for (const OptimizerState& state : optimizer_->state()) {
    const at::Tensor& whole = shared_->gather_state(state.values);
    if (writes) tensors.merge(state_tensors(state.name, copy_on_host(whole), parameters_));
  }
  if (average_ && writes) {
    tensors.merge(state_tensors(kAverage, copy_on_host(average_->weights.values()), parameters_));
  }
  return tensors;
}

// Whether each rank gets its own back; else all begin with the average.
bool TrainedModel::has_statistics_of_ranks(const SavedCheckpoint& checkpoint) const {
  return checkpoint.state.samples_since_average.size() == static_cast<std::size_t>(context_.host.size());
}

void TrainedModel::check_statistics(const SavedCheckpoint& checkpoint) const {
  for (const StateTensor& entry : statistics_of_rank(program_)) {
    std::vector<std::int64_t> of_all_ranks = entry.tensor.sizes().vec();
    of_all_ranks.insert(of_all_ranks.begin(), context_.host.size());
    checkpoint.statistics.require({{entry.name, entry.tensor.expand(of_all_ranks)}}, "the ranks' ");
  }
}

void TrainedModel::check(const SavedCheckpoint& checkpoint) {
  checkpoint.model.require(saved_tensors(inference_));
  // Of its names, types and sizes, whatever there is of its numbers here.
  checkpoint.optimizer.require(
      optimizer_state([&](const at::Tensor& state) { return shared_ ? parameters_.flat_parameters() : state; }));
  for (const std::string& name : parameters_.plan().names()) {
    if (!checkpoint.state.optimizer_steps.contains(name)) {
      throw InputError("the checkpoint lacks the updates of " + name);
    }
  }
  if (has_statistics_of_ranks(checkpoint)) check_statistics(checkpoint);
  for (const StateTensor& entry : trained_state(program_)) require_finite(checkpoint.model, entry.name);
  for (const auto& [name, entry] : checkpoint.optimizer.entries()) require_finite(checkpoint.optimizer, name);
  for (const auto& [name, entry] : checkpoint.statistics.entries()) {
    require_finite(checkpoint.statistics, name, "the ranks' ");
  }
}

void TrainedModel::restore(const SavedCheckpoint& checkpoint) {
  checkpoint.model.read_into(saved_tensors(inference_));
  for (const OptimizerState& state : optimizer_->state()) {
    // Between steps gradients mean nothing.
    const at::Tensor whole = shared_ ? parameters_.flat_gradients() : state.values;
    checkpoint.optimizer.read_into(state_tensors(state.name, whole, parameters_));
    if (shared_) parameters_.take_owned(whole, state.values);
  }
  if (average_) {
    checkpoint.optimizer.read_into(average_->tensors);
    average_->weights.set_updates(checkpoint.state.average_updates);
  }
  std::vector<std::int64_t> steps;
  for (const std::string& name : parameters_.plan().names()) {
    steps.push_back(checkpoint.state.optimizer_steps.at(name));
  }
  optimizer_->set_steps(steps);
  if (has_statistics_of_ranks(checkpoint)) restore_statistics(checkpoint);
}

void TrainedModel::restore_statistics(const SavedCheckpoint& checkpoint) {
  const c10::NoGradGuard no_grad;
  const int rank = context_.host.rank();
  for (const StateTensor& entry : statistics_of_rank(program_)) {
    entry.tensor.copy_(checkpoint.statistics.read(entry.name)[rank]);
  }
  samples_since_average_ = checkpoint.state.samples_since_average[static_cast<std::size_t>(rank)];
}

Checkpoint TrainedModel::tensors() {
  Checkpoint checkpoint{.state = {}, .model = saved_tensors(inference_), .optimizer = {}, .statistics = {}, .best = {}};
  if (!shared_) checkpoint.optimizer = optimizer_state(std::identity());
  return checkpoint;
}

void TrainedModel::save(Checkpoint& checkpoint, bool writes) {
  checkpoint.model = saved_tensors(inference_);
  checkpoint.optimizer_is_apart = shared_.has_value();
  checkpoint.optimizer = shared_ ? gathered_state(writes) : optimizer_state(std::identity());
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
