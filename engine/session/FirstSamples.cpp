#include "engine/session/FirstSamples.h"

#include <algorithm>

#include "engine/data/Loader.h"
#include "engine/train/MicroBatchTensors.h"

namespace lockstep {

DeviceBatch first_batch(const Dataset& dataset, std::int64_t count, Precision precision, const RankContext& context) {
  Loader loader(dataset, Order(0, count, false), BatchPlan(count, count, 0, 1), 0, precision, 1);
  return Prefetcher(loader, dataset.shape(), precision, context.device, context.communicator).next();
}

at::Tensor first_inputs(const Dataset& dataset, std::int64_t count, Precision precision) {
  count = std::min(count, dataset.size());
  Loader loader(dataset, Order(0, dataset.size(), false), BatchPlan(count, count, 0, 1), 0, precision, 1);
  return input_tensor(loader.next(), dataset.shape(), precision).clone();
}

}  // namespace lockstep
