#include "engine/train/StepQueue.h"

#include <cstddef>
#include <utility>

#include "engine/train/RunningStatistics.h"

namespace lockstep {

namespace {

// Enqueued beyond the one whose outcome is awaited: so that the device has the next one when it ends the short one
// before sooner than the host awakes.
constexpr std::size_t kStepsInFlight = 2;

std::optional<LossScale> initial_loss_scale(const Hyperparameters& hyperparameters) {
  if (hyperparameters.precision != Precision::kFp16) return std::nullopt;
  return LossScale(hyperparameters.loss_scale, hyperparameters.loss_scale_growth_interval);
}

std::vector<at::Tensor> statistics_of(const Program& program) {
  std::vector<at::Tensor> tensors;
  for (const StateTensor& entry : statistics_of_rank(program)) tensors.push_back(entry.tensor);
  return tensors;
}

// One rank has the whole batch anyway.
std::optional<WholeBatch> whole_batch(const Objective& objective, const RankContext& context) {
  if (!objective.loss().of_whole_batch() || context.host.size() == 1) return std::nullopt;
  return WholeBatch(context.communicator, context.host, context.device.place());
}

bool captures(const Hyperparameters& hyperparameters, const RankContext& context) {
  return hyperparameters.cuda_graph && context.device.asynchronous();
}

}  // namespace

RecomputationPlan recomputation_plan(const Hyperparameters& hyperparameters, const Program& program,
                                     const RankContext& context) {
  return plan_recomputation(program.graph(), hyperparameters.recompute, /*random=*/!captures(hyperparameters, context));
}

StepQueue::StepQueue(const Hyperparameters& hyperparameters, const Objective& objective, TrainedModel& model,
                     const RankContext& context)
    : context_(context),
      trace_(hyperparameters, context),
      computation_(
          model.program(), objective, model.parameters(),
          {.precision = hyperparameters.precision,
           .seed = hyperparameters.seed,
           .rank = context.host.rank(),
           .batch_norm =
               hyperparameters.sync_batch_norm && context.communicator.size() > 1 ? &context.communicator : nullptr,
           .whole_batch = whole_batch(objective, context),
           .recomputation = recomputation_plan(hyperparameters, model.program(), context)}),
      reducer_(model.parameters(), context.communicator, context.host),
      step_(context.device, computation_, model.parameters(), reducer_, model.optimizer(), context.communicator,
            context.host,
            {.clip_norm = hyperparameters.clip_norm,
             .loss_scale = initial_loss_scale(hyperparameters),
             .capture = captures(hyperparameters, context),
             .shared = model.shared_update(),
             .average = model.average(),
             .position = context.position,
             .statistics = statistics_of(model.program()),
             .passes_over_not_finite = hyperparameters.nonfinite_steps > 0,
             .spans = &trace_.log()}),
      // A loss scale must be known before its step, and so must what a step that is passed over leaves.
      in_flight_(context.device.asynchronous() && !step_.loss_scale() && hyperparameters.nonfinite_steps == 0
                     ? kStepsInFlight
                     : 0) {}

void StepQueue::start(BatchSource& inputs, const TrainingStep::Step& step, const StepDone& about) {
  trace_.starts(about.global_step);
  step_.start(inputs, step);
  started_.push_back(about);
}

std::string StepQueue::find_operator(const Batch& batch, const TrainingStep::Step& step, std::int64_t micro_batch) {
  std::string found;
  beside([&] {
    computation_.seed(step.global_step, micro_batch);
    found = computation_.find_operator(batch, step.batch_size, loss_scale() ? loss_scale()->value() : 1);
  });
  return found;
}

TrainingStep::Result StepQueue::finish() {
  started_.pop_front();
  TrainingStep::Result result = step_.finish();
  use_.seconds += result.seconds;
  ++use_.steps;
  return result;
}

std::vector<RankUse> StepQueue::take_use() {
  constexpr std::size_t kOthers = 3;
  const RankUse use = std::exchange(use_, {});
  std::vector<double> own = {static_cast<double>(context_.host_number), static_cast<double>(use.steps),
                             static_cast<double>(context_.device.peak_memory())};
  for (const StepPhase& phase : kStepPhases) own.push_back(use.seconds.*phase.seconds);
  std::vector<double> all(own.size() * static_cast<std::size_t>(context_.host.size()));
  context_.host.all_gather(own.data(), all.data(), own.size(), DataType::kFloat64)->wait();
  if (use.steps == 0) return {};
  std::vector<RankUse> ranks;
  for (auto rank = all.begin(); rank != all.end(); rank += static_cast<std::ptrdiff_t>(own.size())) {
    ranks.push_back({.host = static_cast<int>(rank[0]),
                     .steps = static_cast<std::int64_t>(rank[1]),
                     .peak_memory = static_cast<std::int64_t>(rank[2])});
    for (std::size_t i = 0; i < kStepPhases.size(); ++i) {
      ranks.back().seconds.*kStepPhases[i].seconds = rank[static_cast<std::ptrdiff_t>(kOthers + i)] / rank[1];
    }
  }
  return ranks;
}

}  // namespace lockstep
