#include "library/ChannelSteps.h"

#include <string>

#include "common/Error.h"
#include "engine/data/Variation.h"

namespace lockstep {

ChannelSteps::ChannelSteps(const Hyperparameters& hyperparameters, const ProgramSamples& samples,
                           const RankContext& context)
    : hyperparameters_(hyperparameters),
      context_(context),
      plan_(hyperparameters, samples.shards(context.host.size())),
      samples_(Prefetcher::samples_for(context.device, samples)
                   .varied(variation_of(hyperparameters, plan_.data_seed(context.host.rank())))) {}

void ChannelSteps::check(const LoaderPosition& position, std::int64_t step) const {
  const std::int64_t steps = plan_.batches.steps();
  if (position.step >= 0 && position.step < steps && position.epoch * steps + position.step == step) return;
  throw InputError("the checkpoint's step " + std::to_string(step) + " is not step " + std::to_string(position.step) +
                   " of epoch " + std::to_string(position.epoch) + ", as it says, in epochs of " +
                   std::to_string(steps) + " steps");
}

void ChannelSteps::restore(const LoaderPosition& position) {
  prefetcher_.reset();
  loader_.reset();
  position_ = position;
}

TrainingStep::Step ChannelSteps::next_step() const {
  const BatchPlan& batches = plan_.batches;
  const std::int64_t step = position_.step;
  const std::int64_t batch_size = batches.batch(step).size();
  return {.batch_size = batch_size,
          .idle = batches.most_micro_batches(step) -
                  static_cast<std::int64_t>(batches.micro_batches(step, context_.host.rank()).size()),
          .full = batch_size == hyperparameters_.batch_size && batches.even(step) &&
                  batches.micro_batches(step, 0).size() == 1};
}

BatchSource& ChannelSteps::batches() {
  if (!loader_) {
    const int rank = context_.host.rank();
    loader_.emplace(samples_, plan_.order(rank), plan_.batches, rank, static_cast<int>(hyperparameters_.loader_threads),
                    position_, std::nullopt, Prefetcher::buffers_for(context_.device));
    prefetcher_.emplace(*loader_, samples_, context_.device, context_.communicator);
  }
  return *prefetcher_;
}

std::int64_t ChannelSteps::own_samples() const {
  return plan_.batches.slice(position_.step, context_.host.rank()).size();
}

void ChannelSteps::done() {
  if (++position_.step == plan_.batches.steps()) position_ = {position_.epoch + 1, 0};
}

}  // namespace lockstep
