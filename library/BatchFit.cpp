#include "library/BatchFit.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/BatchStatistics.h"
#include "engine/program/TorchError.h"
#include "engine/session/FitChecks.h"
#include "engine/session/FittingSamples.h"
#include "engine/session/ProgramInputs.h"
#include "engine/train/Forward.h"
#include "library/MemoryBatches.h"
#include "library/OwnLoss.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostTried = 16;  // samples

}  // namespace

BatchFit::BatchFit(const LoadedJob& job, const TrainedModel& model, const Hyperparameters& hyperparameters,
                   const RankContext& context)
    : job_(job),
      model_(model),
      hyperparameters_(hyperparameters),
      context_(context),
      inputs_(program_inputs(job.program.program.graph())),
      executor_(model.inference()) {
  const Graph& graph = model.program().graph();
  for (const ProgramInput& input : inputs_) {
    vocabularies_.push_back(is_integer(input.type) ? find_vocabulary(job.program.program.graph(), input.name)
                                                   : std::nullopt);
  }
  normalizes_ = !hyperparameters.sync_batch_norm &&
                std::ranges::any_of(graph.nodes, [](const Node& node) { return batch_statistics(node).has_value(); });
}

void BatchFit::require(ProgramSamples& samples, bool alone) {
  if (samples.size() == 0) return;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!vocabularies_[i]) continue;
    samples.require_tokens(samples.input(i), *vocabularies_[i],
                           "the program takes " + std::to_string(*vocabularies_[i]) + " different ones");
  }
  std::pair<Sizes, bool> tried;
  for (const Column& column : samples.columns()) tried.first.push_back(column.sizes);
  tried.second = alone && normalizes_;
  if (const auto found = classes_.find(tried); found != classes_.end()) {
    return require_targets(samples, job_.objective.loss(), found->second);
  }
  const auto classes = try_out(samples, tried.second);
  classes_.emplace(std::move(tried), classes);
}

void BatchFit::require_sizes(const ProgramSamples& samples) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const std::vector<std::int64_t>& sizes = samples.input(i).sizes;
    if (!inputs_[i].sizes || sizes == *inputs_[i].sizes) continue;
    const auto of_batch = [](const std::vector<std::int64_t>& of_sample) {
      return "[samples" + (of_sample.empty() ? "" : ", " + join(of_sample, ", ")) + "]";
    };
    throw InputError("the program's input " + inputs_[i].name + " has the sizes " + of_batch(*inputs_[i].sizes) +
                     ", and the array " + of_batch(sizes));
  }
}

std::optional<std::int64_t> BatchFit::try_out(ProgramSamples& samples, bool alone) {
  require_sizes(samples);
  const c10::NoGradGuard no_grad;
  try {
    const c10::Device device = context_.device.place();
    if (alone) {
      run_as_trained(model_.program(), read_batch(samples, 0, 1, device).inputs, hyperparameters_.precision);
    }
    const Batch batch = read_batch(samples, 0, std::min(samples.size(), kMostTried), device);
    const std::vector<at::Tensor> outputs = forward(executor_, batch.inputs, hyperparameters_.precision);
    const auto classes = classes_of(outputs.at(job_.objective.seen().output), batch.targets, job_.objective.loss());
    require_targets(samples, job_.objective.loss(), classes);
    if (hyperparameters_.loss != kOwnLoss) {
      job_.objective.measure(outputs, batch.targets, batch.weights, batch.size);
    }
    return classes;
  } catch (const c10::Error& error) {
    rethrow(error, "the batch does not fit the program");
  }
}

}  // namespace lockstep
