#include "engine/train/Evaluator.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <array>
#include <cstddef>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Loader.h"
#include "engine/device/DeviceArray.h"
#include "engine/train/Forward.h"
#include "engine/train/Prefetcher.h"

namespace lockstep {

namespace {

constexpr std::int64_t kTop = 5;

/// On the device.
struct Sums {
  double loss = 0;          ///< mean loss × samples
  double correct = 0;       ///< share of a sample's positions × samples
  double correct_top5 = 0;  ///< the same
};

}  // namespace

Metrics Evaluation::metrics(const std::string& channel) const {
  Metrics measured = {{channel + "_loss", loss}};
  if (accuracy) measured.emplace_back(channel + "_accuracy", *accuracy);
  if (top5) measured.emplace_back(channel + "_top5", *top5);
  return measured;
}

double Evaluation::metric(const std::string& name) const {
  if (name == "loss") return loss;
  if (name == "accuracy" && accuracy) return *accuracy;
  if (name == "top5" && top5) return *top5;
  throw InputError("monitor=" + name + " is not measured in this job; there are loss" + (accuracy ? ", accuracy" : "") +
                   (top5 ? ", top5" : ""));
}

Evaluator::Evaluator(const Device& device, const Program& inference_program, Objective objective, Precision precision,
                     std::int64_t batch_size, int loader_threads, Communicator& communicator, Communicator& host)
    : device_(device),
      executor_(inference_program),
      objective_(objective),
      precision_(precision),
      batch_size_(batch_size),
      loader_threads_(loader_threads),
      communicator_(communicator),
      host_(host),
      buffers_(Prefetcher::buffers_for(device)) {}

std::optional<Evaluation> Evaluator::evaluate(const Dataset& dataset, const StopRequested& stop) {
  const c10::NoGradGuard no_grad;
  const BatchPlan plan(dataset.size(), batch_size_ * host_.size(), 0, host_.size());
  Loader loader(dataset, Order(0, dataset.size(), /*shuffle=*/false), plan, host_.rank(), precision_, loader_threads_,
                {}, Loader::kAhead, buffers_);
  Prefetcher inputs(loader, dataset.shape(), precision_, device_, communicator_);
  const bool labels = dataset.shape().class_labels;
  const Sums zeros;
  DeviceArray<Sums> on_device(std::span(&zeros, 1), device_.place());
  const auto add = [&](std::size_t offset, const at::Tensor& sum, double positions) {
    on_device.number(offset, at::kDouble).add_(sum.to(at::kDouble).div(positions));
  };
  bool top5 = false;
  bool stopped = false;
  for (std::int64_t step = 0; step < plan.steps() && !(stopped = stop()); ++step) {
    const DeviceBatch batch = inputs.next();
    if (batch.size == 0) continue;
    const at::Tensor& targets = batch.targets;
    const at::Tensor output = forward(executor_, batch.inputs, precision_);
    inputs.prefetch();
    const double positions = objective_.denominator(1, output);
    add(offsetof(Sums, loss), objective_.sum(output, targets), positions);
    if (!labels) continue;
    add(offsetof(Sums, correct), output.argmax(-1).eq(targets).sum(), positions);
    top5 = output.size(-1) >= kTop;
    if (top5) {
      const at::Tensor best = std::get<1>(output.topk(kTop, -1));
      add(offsetof(Sums, correct_top5), best.eq(targets.unsqueeze(-1)).sum(), positions);
    }
  }
  const Readback<Sums> read = on_device.read();
  communicator_.await([&] { return read.arrived(); });
  const Sums sums = read.wait().front();
  std::array<double, 5> all = {sums.loss, sums.correct, sums.correct_top5, top5 ? 1.0 : 0.0, stopped ? 1.0 : 0.0};
  host_.all_reduce(all.data(), all.size(), DataType::kFloat64, ReduceOp::kSum)->wait();
  if (all[4] > 0) return std::nullopt;
  const auto count = static_cast<double>(dataset.size());
  Evaluation result{.loss = all[0] / count, .accuracy = {}, .top5 = {}};
  if (labels) result.accuracy = all[1] / count;
  if (labels && all[3] > 0) result.top5 = all[2] / count;
  return result;
}

}  // namespace lockstep
