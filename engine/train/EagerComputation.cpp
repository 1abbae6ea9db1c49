#include "engine/train/EagerComputation.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>

#include <cmath>
#include <mutex>
#include <utility>

#include "common/SplitMix.h"
#include "engine/program/NotFiniteSearch.h"
#include "engine/train/Forward.h"

namespace lockstep {

EagerComputation::EagerComputation(const Program& program, const Objective& objective, FlatParameters& parameters,
                                   Options options)
    : program_(program),
      executor_(program, /*trains=*/true,
                options.batch_norm != nullptr ? &sync_.emplace(*options.batch_norm, parameters.device()) : nullptr,
                options.recomputation),
      objective_(objective),
      gradients_(parameters),
      options_(options),
      generator_(at::globalContext().defaultGenerator(parameters.device())) {}

// The seed is a function of what is being computed, so a resumed job draws what the uninterrupted one would have.
void EagerComputation::seed(std::int64_t global_step, std::int64_t micro_batch) {
  std::uint64_t mixed = splitmix(options_.seed);
  for (const auto part : {global_step, micro_batch, static_cast<std::int64_t>(options_.rank)}) {
    mixed = splitmix(mixed ^ static_cast<std::uint64_t>(part));
  }
  const std::lock_guard lock(generator_.mutex());
  generator_.set_current_seed(mixed);
}

// What this rank's samples add. Of a loss over the whole batch that is their share of its value, and all of its
// gradient by what they are.
Objective::BatchLoss EagerComputation::loss_of(std::vector<at::Tensor> outputs, const Batch& batch) const {
  if (!options_.whole_batch) return objective_.loss_of(outputs, batch.targets, batch.weights, batch.size);
  at::Tensor& seen = outputs.at(objective_.seen().output);
  const WholeBatch::Joined joined = options_.whole_batch->join(seen);
  seen = joined.rows;
  Objective::BatchLoss loss = objective_.loss_of(outputs, {}, {}, joined.samples);
  const at::Tensor value = loss.terms.sum.detach();
  const double share = static_cast<double>(batch.size) / static_cast<double>(joined.samples);
  loss.terms.sum = loss.terms.sum.sub(value).add(value, share);
  return loss;
}

StepComputation::Share EagerComputation::forward(const Batch& batch, std::int64_t global_batch_size) {
  if (sync_) sync_->begin();
  const std::vector<at::Tensor> outputs = lockstep::forward(executor_, batch.inputs, options_.precision);
  const auto [terms, weight_of_sample] = loss_of(outputs, batch);
  const double expected = static_cast<double>(global_batch_size) * weight_of_sample;
  loss_ = terms.sum.div(expected);
  if (sync_) loss_ = sync_->tie(loss_);
  return {.loss = loss_.detach(),
          .weight = terms.weight,
          .here = static_cast<double>(batch.size) * weight_of_sample,
          .expected = expected};
}

void EagerComputation::backward(const at::Tensor& scale, GradientSink* sink) {
  const at::Tensor loss = std::exchange(loss_, at::Tensor());
  gradients_.backward(scale.defined() ? loss.mul(scale) : loss, sync_ ? nullptr : sink);
}

std::string EagerComputation::find_operator(const Batch& batch, std::int64_t global_batch_size, double scale) {
  NotFiniteSearch search(program_);
  std::vector<at::Tensor> outputs;
  with_precision(batch.inputs.at(0).device().type(), options_.precision, [&] { outputs = search.run(batch.inputs); });
  const auto [terms, weight_of_sample] = objective_.loss_of(outputs, batch.targets, batch.weights, batch.size);
  const at::Tensor loss = terms.sum.div(static_cast<double>(global_batch_size) * weight_of_sample);
  const bool finite = std::isfinite(loss.item<double>());
  std::string found = search.made_forward(/*infinite_counts=*/!finite);
  if (!found.empty()) return found;
  return finite ? search.made_backward(loss.mul(scale)) : "the loss makes it of outputs that are finite";
}

void EagerComputation::idle() {
  if (sync_) {
    sync_->begin();
    executor_.normalize_nothing();
  }
  if (options_.whole_batch) options_.whole_batch->join({});
  if (!sync_) return;
  gradients_.backward(sync_->tie(at::zeros({}, at::TensorOptions(at::kFloat).device(generator_.device()))), nullptr);
}

}  // namespace lockstep
