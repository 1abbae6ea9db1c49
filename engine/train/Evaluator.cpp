#include "engine/train/Evaluator.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/Loader.h"
#include "engine/device/DeviceArray.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/train/Forward.h"
#include "engine/train/Prefetcher.h"

namespace lockstep {

namespace {

/// The sums of all metrics on this rank: on the device, one after another behind the weight.
class Sums {
 public:
  Sums(const Objective& objective, const c10::Device& device)
      : objective_(objective), measured_(objective.metrics().size(), false), sums_(zeros(objective), device) {}

  void add(const MeasuredBatch& batch, std::int64_t samples) {
    const auto positions = static_cast<double>(objective_.loss().positions(batch.output()));
    const auto add_to = [&](std::size_t sum, const at::Tensor& value) {
      sums_.number(sum * sizeof(double), at::kDouble).add_(value.to(at::kDouble).div(positions));
    };
    if (batch.loss().weight.defined()) {
      add_to(0, batch.loss().weight);
    } else {
      sums_.number(0, at::kDouble).add_(static_cast<double>(samples));
    }
    std::size_t next = 1;
    for (std::size_t i = 0; i < measured_.size(); ++i) {
      const Metric& metric = *objective_.metrics()[i].metric;
      measured_[i] = metric.unfit(objective_.loss(), batch.output()).empty();
      if (measured_[i]) {
        std::size_t sum = next;
        for (const at::Tensor& value : metric.sums(batch)) add_to(sum++, value);
      }
      next += metric.sum_count();
    }
  }
  Readback<double> read() const { return sums_.read(); }
  const std::vector<bool>& measured() const { return measured_; }

 private:
  static std::vector<double> zeros(const Objective& objective) {
    std::size_t count = 1;
    for (const auto& chosen : objective.metrics()) count += chosen.metric->sum_count();
    return std::vector<double>(count, 0.0);
  }

  const Objective& objective_;
  std::vector<bool> measured_;
  DeviceArray<double> sums_;
};

}  // namespace

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
  Sums sums(objective_, device_.place());
  bool stopped = false;
  for (std::int64_t step = 0; step < plan.steps() && !(stopped = stop()); ++step) {
    for (bool last = false; !last;) {
      const Batch batch = inputs.next();
      last = batch.last_of_step;
      if (batch.size == 0) continue;
      const at::Tensor output = forward(executor_, batch.inputs, precision_);
      inputs.prefetch();
      sums.add(MeasuredBatch(objective_.loss(), output, batch.targets, batch.weights), batch.size);
    }
  }
  const Readback<double> read = sums.read();
  communicator_.await([&] { return read.arrived(); });
  // Behind them, for each metric, how many ranks measured it; and how many were told to stop.
  std::vector<double> all = read.wait();
  const std::size_t count = all.size();
  for (const bool measured : sums.measured()) all.push_back(measured ? 1 : 0);
  all.push_back(stopped ? 1 : 0);
  host_.all_reduce(all.data(), all.size(), DataType::kFloat64, ReduceOp::kSum)->wait();
  if (all.back() > 0) return std::nullopt;
  Evaluation::Values values;
  std::size_t next = 1;
  for (std::size_t i = 0; i < objective_.metrics().size(); ++i) {
    const Objective::ChosenMetric& chosen = objective_.metrics()[i];
    const std::span<const double> own(all.data() + next, chosen.metric->sum_count());
    next += own.size();
    if (all[count + i] > 0) values.emplace_back(chosen.name, chosen.metric->result(own, all[0]));
  }
  return Evaluation(std::move(values), /*weightless=*/!(all[0] > 0));
}

}  // namespace lockstep
