#include "engine/train/Evaluator.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "engine/data/Loader.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/train/Forward.h"
#include "engine/train/MetricTotals.h"
#include "engine/train/Prefetcher.h"

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

std::optional<Evaluation> Evaluator::evaluate(const ProgramSamples& given, const StopRequested& stop) {
  const c10::NoGradGuard no_grad;
  const ProgramSamples samples = Prefetcher::samples_for(device_, given);
  const BatchPlan plan(samples.shards(host_.size()), batch_size_ * host_.size(), batch_size_);
  Loader loader(samples, Order(0, samples.size(), /*shuffle=*/false), plan, host_.rank(), loader_threads_, {}, {},
                buffers_);
  Prefetcher inputs(loader, samples, device_, communicator_);
  MetricTotals totals(objective_, device_.place());
  bool stopped = false;
  for (std::int64_t step = 0; step < plan.steps() && !(stopped = stop()); ++step) {
    for (bool last = false; !last;) {
      const Batch batch = inputs.next();
      last = batch.last_of_step;
      if (batch.size == 0) continue;
      const std::vector<at::Tensor> outputs = forward(executor_, batch.inputs, precision_);
      inputs.prefetch();
      totals.add(objective_.measure(outputs, batch.targets, batch.weights, batch.size), batch.size);
    }
  }
  return totals.evaluation(stopped, communicator_, host_);
}

}  // namespace lockstep
