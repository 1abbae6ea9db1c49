#include "engine/train/SyncBatchNorm.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

constexpr std::int64_t kImages = 8;
constexpr std::int64_t kChannels = 3;

/// What a rank has of the eight images: all; 3 and 5; 3, 5 and none.
std::pair<std::int64_t, std::int64_t> share(const Communicator& communicator) {
  if (communicator.size() == 1) return {0, kImages};
  constexpr std::int64_t kFirst[] = {0, 3, kImages, kImages, kImages};
  const int rank = communicator.rank();
  return {kFirst[rank], kFirst[rank + 1] - kFirst[rank]};
}

struct Layer {
  explicit Layer(int number, at::ScalarType type = at::kDouble)
      : weight(at::linspace(0.5, 1.5, kChannels, type).add(0.1 * number).set_requires_grad(true)),
        bias(at::linspace(-1, 1, kChannels, type).mul(number).set_requires_grad(true)),
        mean(at::full({kChannels}, 0.25, type)),
        var(at::full({kChannels}, 2.0, type)) {}
  BatchNormCall call(const at::Tensor& x) const {
    return {.x = x, .weight = weight, .bias = bias, .running_mean = mean, .running_var = var, .momentum = 0.3};
  }
  at::Tensor weight, bias, mean, var;
};

using Norm = std::function<at::Tensor(const Layer&, const at::Tensor& x)>;

/// Five batch norms: one behind another, one beside them, one whose result nobody uses, and one whose result has no
/// gradient.
struct Net {
  at::Tensor run(const at::Tensor& x, const Norm& norm) const {
    const at::Tensor a = norm(layers[0], x);
    norm(layers[3], a.square());
    const at::Tensor b = norm(layers[1], a.relu() * x);
    const at::Tensor c = norm(layers[2], (a * 2).sin());
    const at::Tensor d = norm(layers[4], b.cos()).detach();
    return b * c + a + d;
  }
  std::vector<Layer> layers = {Layer(0), Layer(1), Layer(2), Layer(3), Layer(4)};
};

at::Tensor images() {
  return at::arange(kImages * kChannels * 4, at::kDouble)
      .mul(0.7)
      .sin()
      .mul(3)
      .add(10)
      .view({kImages, kChannels, 2, 2});
}

at::Tensor pytorch(const Layer& layer, const at::Tensor& x) {
  return at::batch_norm(x, layer.weight, layer.bias, layer.mean, layer.var, true, 0.3, 1e-5, false);
}

void expect_near(const at::Tensor& found, const at::Tensor& expected, double tolerance) {
  if (expected.numel() == 0) return;
  EXPECT_LE((found - expected).abs().max().item<double>(), tolerance * expected.abs().max().item<double>());
}

TEST(SyncBatchNorm, EqualsPyTorchsOverAllSamples) {
  for (const MpiMode mode : {MpiMode::kInline, MpiMode::kBackground}) {
    MpiCommunicator communicator(mpi_session(), mode);
    const auto [first, count] = share(communicator);
    const at::Tensor factors = at::arange(images().numel(), at::kDouble).view(images().sizes()).cos();
    const Net whole;
    const at::Tensor all = images().set_requires_grad(true);
    const at::Tensor expected = whole.run(all, pytorch);
    (expected * factors).sum().backward();

    const Net mine;
    SyncBatchNorm sync(communicator, at::kCPU);
    const at::Tensor x = images().narrow(0, first, count).clone().set_requires_grad(true);
    const Norm norm = [&](const Layer& layer, const at::Tensor& input) {
      return sync.normalize(layer.call(input), nullptr);
    };
    sync.begin();
    at::Tensor loss = at::zeros({}, at::kDouble);
    if (count > 0) {
      const at::Tensor y = mine.run(x, norm);
      expect_near(y, expected.narrow(0, first, count), 1e-12);
      loss = (y * factors.narrow(0, first, count)).sum();
    } else {
      for (const std::size_t number : {0, 3, 1, 2, 4})
        norm(mine.layers[number], at::empty({0, kChannels}, at::kDouble));
    }
    const at::Tensor tied = sync.tie(loss);
    EXPECT_EQ(tied.item<double>(), loss.item<double>());
    tied.backward();

    const c10::NoGradGuard no_grad;
    if (count > 0) expect_near(x.grad(), all.grad().narrow(0, first, count), 1e-12);
    for (std::size_t i = 0; i < mine.layers.size(); ++i) {
      expect_near(mine.layers[i].mean, whole.layers[i].mean, 1e-12);
      expect_near(mine.layers[i].var, whole.layers[i].var, 1e-12);
      for (const auto& [found, parameter] : {std::pair(mine.layers[i].weight, whole.layers[i].weight),
                                             std::pair(mine.layers[i].bias, whole.layers[i].bias)}) {
        if (!parameter.grad().defined()) {
          EXPECT_FALSE(found.grad().defined()) << i;
          continue;
        }
        const at::Tensor sum = found.grad().defined() ? found.grad().clone() : at::zeros({kChannels}, at::kDouble);
        communicator.all_reduce(sum.mutable_data_ptr(), kChannels, DataType::kFloat64, ReduceOp::kSum)->wait();
        expect_near(sum, parameter.grad(), 1e-12);
      }
    }
  }
}

// Statistics in float32, of inputs in half that: as one rank has them, to rounding.
TEST(SyncBatchNorm, HalfPrecisionKeepsStatisticsInFloat32) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  const auto [first, count] = share(communicator);
  const Layer whole(1, at::kFloat);
  const Layer mine(1, at::kFloat);
  const at::Tensor expected = pytorch(whole, images().to(at::kFloat));
  SyncBatchNorm sync(communicator, at::kCPU);
  sync.begin();
  const at::Tensor found = sync.normalize(mine.call(images().narrow(0, first, count).to(at::kBFloat16)), nullptr);
  EXPECT_EQ(found.scalar_type(), at::kBFloat16);
  sync.tie(at::zeros({})).backward();
  const c10::NoGradGuard no_grad;
  expect_near(found.to(at::kFloat), expected.narrow(0, first, count), 0.05);  // the inputs are of 8 bits
  expect_near(mine.var, whole.var, 0.01);
}

// A single number has no variance. Training refuses it beforehand; here nothing becomes a NaN.
TEST(SyncBatchNorm, OfASingleNumberAllStaysFinite) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  const Layer layer(0);
  SyncBatchNorm sync(communicator, at::kCPU);
  sync.begin();
  const bool has = communicator.rank() == 0;
  const at::Tensor x = at::full({has ? 1 : 0, kChannels}, 5.0, at::kDouble).set_requires_grad(true);
  const at::Tensor y = sync.normalize(layer.call(x), nullptr);
  sync.tie(has ? y.sum() : at::zeros({}, at::kDouble)).backward();
  std::vector<at::Tensor> found = {y, layer.mean, layer.var};
  if (has) found.push_back(x.grad());
  for (const at::Tensor& values : found) EXPECT_TRUE(values.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace lockstep
