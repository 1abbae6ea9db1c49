#include "library/OwnOptimizer.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "library/Arrays.h"
#include "library/CallerError.h"

namespace lockstep {

namespace {

class OwnOptimizer : public Optimizer {
 public:
  OwnOptimizer(v1::OptimizerFunction function, BucketPlan buckets, const FlatStorage& storage,
               const std::vector<kernels::Segment>& segments)
      : Optimizer(storage, segments), function_(std::move(function)), buckets_(std::move(buckets)) {}

  std::vector<OptimizerState> state() override { return {}; }

 private:
  void update(const kernels::FlatWork& /*work*/, const kernels::FlatStep* step) override {
    const kernels::FlatStep now = read(step);
    if (now.skip) return;
    if (now.gradient_scale != 1) storage().gradients.mul_(now.gradient_scale);
    const std::int64_t number = std::ranges::max(steps());
    for (std::size_t i = 0; i < buckets_.buckets().size(); ++i) {
      const Bucket& bucket = buckets_.buckets()[i];
      at::Tensor values = storage().parameters.narrow(0, bucket.offset, bucket.length);
      const at::Tensor host = on_host(values);
      const at::Tensor gradients = on_host(storage().gradients.narrow(0, bucket.offset, bucket.length));
      const v1::BucketCall call = {.bucket = i,
                                   .buckets = buckets_.buckets().size(),
                                   .step = number,
                                   .learning_rate = now.learning_rate,
                                   .values = mutable_array_view_of(host),
                                   .gradients = array_view_of(gradients),
                                   .parameters = parameters_of(bucket)};
      calling_back([&] { function_(call); });
      if (!values.is_cpu()) values.copy_(host);
    }
  }

  kernels::FlatStep read(const kernels::FlatStep* step) const {
    kernels::FlatStep now;
    const at::Tensor bytes = at::from_blob(const_cast<kernels::FlatStep*>(step), {sizeof now},
                                           at::TensorOptions(at::kByte).device(device()));
    const at::Tensor host = bytes.to(at::kCPU);
    std::memcpy(&now, host.const_data_ptr(), sizeof now);
    return now;
  }

  std::vector<v1::BucketParameter> parameters_of(const Bucket& bucket) const {
    std::vector<v1::BucketParameter> parameters;
    for (std::size_t i = bucket.first_segment; i < bucket.end_segment; ++i) {
      const kernels::Segment& segment = buckets_.segments()[i];
      parameters.push_back({.name = buckets_.names()[i],
                            .offset = segment.offset - bucket.offset,
                            .length = segment.length,
                            .has_gradient = received()[i]});
    }
    return parameters;
  }

  v1::OptimizerFunction function_;
  BucketPlan buckets_;
};

}  // namespace

OptimizerKind own_optimizer(v1::OptimizerFunction function, BucketPlan buckets) {
  return {.name = kOwnOptimizer,
          .make = [=](const Hyperparameters&, const FlatStorage& storage,
                      const std::vector<kernels::Segment>& segments) -> std::unique_ptr<Optimizer> {
            return std::make_unique<OwnOptimizer>(function, buckets, storage, segments);
          }};
}

}  // namespace lockstep
