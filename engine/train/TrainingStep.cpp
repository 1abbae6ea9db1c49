#include "engine/train/TrainingStep.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "common/Error.h"
#include "common/SplitMix.h"
#include "common/Text.h"
#include "engine/program/TorchError.h"
#include "engine/train/Forward.h"
#include "engine/train/MicroBatchTensors.h"

namespace lockstep {

namespace {

// Dropout draws from the default generator. Its seed is a function of what is being computed, so a resumed job draws
// what the uninterrupted one would have.
std::uint64_t draw_seed(std::uint64_t seed, std::int64_t step, std::int64_t micro_batch, int rank) {
  std::uint64_t mixed = splitmix(seed);
  for (const auto part : {step, micro_batch, static_cast<std::int64_t>(rank)}) {
    mixed = splitmix(mixed ^ static_cast<std::uint64_t>(part));
  }
  return mixed;
}

[[noreturn]] void diverged(std::int64_t step, const char* what, double value) {
  throw CollectiveError(kExitRankFailed,
                        "step " + std::to_string(step + 1) + ": the " + what + " is " + format("%g", value) +
                            "; training has diverged. Try a lower learning_rate, warmup_steps or clip_norm");
}

}  // namespace

TrainingStep::TrainingStep(Executor& executor, Objective objective, FlatParameters& parameters,
                           GradientReducer& reducer, Optimizer& optimizer, Communicator& communicator, Options options)
    : executor_(executor),
      objective_(objective),
      parameters_(parameters),
      reducer_(reducer),
      optimizer_(optimizer),
      communicator_(communicator),
      options_(options),
      generator_(at::globalContext().defaultGenerator(at::kCPU)) {}

TrainingStep::Result TrainingStep::run(Loader& loader, const SampleShape& shape, std::int64_t batch_size,
                                       std::int64_t global_step, double learning_rate) {
  std::optional<LossScale>& loss_scale = options_.loss_scale;
  const double scale = loss_scale ? loss_scale->value() : 1;
  reducer_.begin_step();
  double mean_loss = 0;
  bool last = false;
  for (std::int64_t micro_batch = 0; !last; ++micro_batch) {
    const MicroBatch batch = loader.next();
    last = batch.last_of_step;
    if (batch.size == 0) continue;
    generator_.set_current_seed(draw_seed(options_.seed, global_step, micro_batch, communicator_.rank()));
    const at::Tensor output = forward(executor_, input_tensor(batch, shape, options_.precision), options_.precision);
    const at::Tensor loss = objective_.sum(output, target_tensor(batch, shape, options_.precision))
                                .div(objective_.denominator(batch_size, output));
    mean_loss += loss.item<double>();
    if (last) reducer_.last_micro_batch();
    try {
      (scale == 1 ? loss : loss.mul(scale)).backward();
    } catch (const c10::Error& error) {
      rethrow(error, "step " + std::to_string(global_step + 1) + ": backward failed");
    }
  }
  reducer_.finish();
  const bool norm_wanted = options_.clip_norm > 0 || loss_scale;
  const double norm = norm_wanted ? parameters_.gradient_norm() / scale : 0;
  // All ranks hold the same gradient by now; that they also decide alike is not left to that.
  std::array<double, 2> sums = {mean_loss, std::isfinite(norm) ? 0.0 : 1.0};
  communicator_.all_reduce(sums.data(), sums.size(), DataType::kFloat64, ReduceOp::kSum)->wait();
  mean_loss = sums[0];
  const bool overflow = !std::isfinite(mean_loss) || sums[1] > 0;
  if (overflow && scale <= 1) {
    std::isfinite(mean_loss) ? diverged(global_step, "gradient's norm", norm)
                             : diverged(global_step, "loss", mean_loss);
  }
  if (loss_scale) loss_scale->update(overflow);
  if (overflow) return {.loss = mean_loss, .skipped = true};
  const double clip = options_.clip_norm > 0 ? clip_scale(norm, options_.clip_norm) : 1;
  optimizer_.step(learning_rate, clip / scale, reducer_.received());
  return {.loss = mean_loss, .skipped = false};
}

}  // namespace lockstep
