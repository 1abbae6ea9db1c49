#include "engine/train/Evaluator.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <array>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Loader.h"
#include "engine/train/Forward.h"
#include "engine/train/Prefetcher.h"

namespace lockstep {

namespace {

constexpr std::int64_t kTop = 5;

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
                     std::int64_t batch_size, int loader_threads, Communicator& communicator)
    : device_(device),
      executor_(inference_program),
      objective_(objective),
      precision_(precision),
      batch_size_(batch_size),
      loader_threads_(loader_threads),
      communicator_(communicator) {}

std::optional<Evaluation> Evaluator::evaluate(const Dataset& dataset, const StopRequested& stop) {
  const c10::NoGradGuard no_grad;
  const BatchPlan plan(dataset.size(), batch_size_ * communicator_.size(), 0, communicator_.size());
  Loader loader(dataset, Order(0, dataset.size(), /*shuffle=*/false), plan, communicator_.rank(), precision_,
                loader_threads_, {}, Loader::kAhead, Prefetcher::buffers_for(device_));
  Prefetcher inputs(loader, dataset.shape(), precision_, device_);
  const bool labels = dataset.shape().class_labels;
  Sums sums;
  bool top5 = false;
  bool stopped = false;
  for (std::int64_t step = 0; step < plan.steps() && !(stopped = stop()); ++step) {
    const DeviceBatch batch = inputs.next();
    if (batch.size == 0) continue;
    const at::Tensor& targets = batch.targets;
    const at::Tensor output = forward(executor_, batch.inputs, precision_);
    inputs.prefetch();
    const double positions = objective_.denominator(1, output);
    sums.loss += objective_.sum(output, targets).item<double>() / positions;
    if (!labels) continue;
    sums.correct += output.argmax(-1).eq(targets).sum().item<double>() / positions;
    top5 = output.size(-1) >= kTop;
    if (top5) {
      const at::Tensor best = std::get<1>(output.topk(kTop, -1));
      sums.correct_top5 += best.eq(targets.unsqueeze(-1)).sum().item<double>() / positions;
    }
  }
  std::array<double, 5> all = {sums.loss, sums.correct, sums.correct_top5, top5 ? 1.0 : 0.0, stopped ? 1.0 : 0.0};
  communicator_.all_reduce(all.data(), all.size(), DataType::kFloat64, ReduceOp::kSum)->wait();
  if (all[4] > 0) return std::nullopt;
  const auto count = static_cast<double>(dataset.size());
  Evaluation result{.loss = all[0] / count, .accuracy = {}, .top5 = {}};
  if (labels) result.accuracy = all[1] / count;
  if (labels && all[3] > 0) result.top5 = all[2] / count;
  return result;
}

}  // namespace lockstep
