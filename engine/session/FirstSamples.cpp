#include "engine/session/FirstSamples.h"

#include <algorithm>

#include "engine/data/Loader.h"
#include "engine/train/MicroBatchTensors.h"

namespace lockstep {

Batch first_batch(const ProgramSamples& samples, std::int64_t count, const RankContext& context) {
  Loader loader(samples, Order(0, count, false), BatchPlan(count, count, 0, 1), 0, 1);
  return Prefetcher(loader, samples, context.device, context.communicator).next();
}

std::vector<at::Tensor> first_inputs(const ProgramSamples& samples, std::int64_t count) {
  count = std::min(count, samples.dataset()->readable());
  Loader loader(samples, Order(0, count, false), BatchPlan(count, count, 0, 1), 0, 1);
  std::vector<at::Tensor> inputs = column_tensors(loader.next(), samples);
  inputs.resize(samples.inputs());
  for (at::Tensor& input : inputs) input = input.clone();
  return inputs;
}

}  // namespace lockstep
