#include "engine/train/MicroBatchTensors.h"

#include <ATen/Functions.h>

namespace lockstep {

namespace {

at::Tensor wrap(const std::shared_ptr<std::byte>& memory, std::int64_t size, std::vector<std::int64_t> shape,
                at::ScalarType type) {
  shape.insert(shape.begin(), size);
  return at::from_blob(
      memory.get(), shape, [memory](void*) {}, type);
}

at::ScalarType scalar_type(Precision precision) { return precision == Precision::kFp64 ? at::kDouble : at::kFloat; }

}  // namespace

at::Tensor input_tensor(const MicroBatch& batch, const SampleShape& shape, Precision precision) {
  return wrap(batch.inputs, batch.size, shape.input, shape.vocabulary > 0 ? at::kLong : scalar_type(precision));
}

at::Tensor target_tensor(const MicroBatch& batch, const SampleShape& shape, Precision precision) {
  return wrap(batch.targets, batch.size, shape.target, shape.class_labels ? at::kLong : scalar_type(precision));
}

}  // namespace lockstep
