#include "engine/train/Evaluator.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "engine/data/Loader.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/train/Forward.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/WholeBatch.h"

namespace lockstep {

Evaluator::Evaluator(const Device& device, const Program& inference_program, Objective objective, Precision precision,
                     std::int64_t batch_size, int loader_threads, Communicator& communicator, Communicator& host)
    : device_(device),
      executor_(inference_program),
      objective_(std::move(objective)),
      precision_(precision),
      batch_size_(batch_size),
      loader_threads_(loader_threads),
      communicator_(communicator),
      host_(host),
      buffers_(Prefetcher::buffers_for(device)) {}

BatchPlan Evaluator::plan(const ProgramSamples& samples) const {
  const Shards shards = samples.shards(host_.size());
  if (objective_.loss().of_whole_batch()) return {shards, batch_size_, /*micro_batch_size=*/0};
  return {shards, batch_size_ * host_.size(), batch_size_};
}

// Ranks that compute together stop together.
bool Evaluator::stops(const StopRequested& stop) {
  std::int64_t stopped = stop() ? 1 : 0;
  if (objective_.loss().of_whole_batch()) {
    host_.all_reduce(&stopped, 1, DataType::kInt64, ReduceOp::kMax)->wait();
  }
  return stopped != 0;
}

// A collective. `outputs`: none where this rank has no samples.
void Evaluator::measure_whole(std::vector<at::Tensor> outputs, MetricTotals& totals) {
  const std::size_t seen = objective_.seen().output;
  const WholeBatch::Joined joined =
      WholeBatch(communicator_, host_, device_.place()).join(outputs.empty() ? at::Tensor() : outputs.at(seen));
  if (!joined.first) return;
  outputs.at(seen) = joined.rows;
  totals.add(objective_.measure(outputs, {}, {}, joined.samples), joined.samples);
}

std::optional<Evaluation> Evaluator::evaluate(const ProgramSamples& given, const StopRequested& stop) {
  const c10::NoGradGuard no_grad;
  const ProgramSamples samples = Prefetcher::samples_for(device_, given);
  const BatchPlan plan = this->plan(samples);
  const bool whole = objective_.loss().of_whole_batch();
  Loader loader(samples, Order(0, samples.size(), /*shuffle=*/false), plan, host_.rank(), loader_threads_, {}, {},
                buffers_);
  Prefetcher inputs(loader, samples, device_, communicator_);
  MetricTotals totals(objective_, device_.place());
  bool stopped = false;
  for (std::int64_t step = 0; step < plan.steps() && !(stopped = stops(stop)); ++step) {
    for (bool last = false; !last;) {
      const Batch batch = inputs.next();
      last = batch.last_of_step;
      if (batch.size == 0 && !whole) continue;
      std::vector<at::Tensor> outputs;
      if (batch.size > 0) {
        outputs = forward(executor_, batch.inputs, precision_);
        inputs.prefetch();
      }
      if (whole) {
        measure_whole(std::move(outputs), totals);
        continue;
      }
      totals.add(objective_.measure(outputs, batch.targets, batch.weights, batch.size), batch.size);
    }
  }
  return totals.evaluation(stopped, communicator_, host_);
}

}  // namespace lockstep
