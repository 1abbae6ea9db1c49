// The pools of a small CNN for MNIST, and ResNet-50's.
#include <benchmark/benchmark.h>

#include "kernels/max_pool_relu/MaxPoolRelu.h"
#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

namespace {

template <typename Element>
void measure(const std::string& name, const PoolShape& shape) {
  const auto& [batch, channels, rows, columns] = shape;
  const auto inputs = static_cast<std::size_t>(batch * rows.size * columns.size * channels);
  const auto outputs = static_cast<std::size_t>(batch * rows.outputs * columns.outputs * channels);
  const auto bytes = static_cast<std::int64_t>((inputs + outputs) * sizeof(Element) + outputs);
  const std::string suffix = "/" + element_name<Element>() + "/" + name;
  benchmark::RegisterBenchmark(("max_pool_relu" + suffix).c_str(), [=](benchmark::State& state) {
    const auto x = normal_elements<Element>(inputs, 1);
    std::vector<Element> y(outputs);
    std::vector<std::uint8_t> index(outputs);
    for ([[maybe_unused]] auto _ : state) {
      max_pool_relu(MaxPoolReluForward<Element>{x.data(), y.data(), index.data(), shape, true});
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * bytes);
  })->UseRealTime();
  benchmark::RegisterBenchmark(("max_pool_relu_backward" + suffix).c_str(), [=](benchmark::State& state) {
    const auto x = normal_elements<Element>(inputs, 1);
    std::vector<Element> dx(inputs);
    std::vector<Element> y(outputs);
    std::vector<std::uint8_t> index(outputs);
    max_pool_relu(MaxPoolReluForward<Element>{x.data(), y.data(), index.data(), shape, true});
    for ([[maybe_unused]] auto _ : state) {
      max_pool_relu_backward(MaxPoolReluBackward<Element>{y.data(), index.data(), dx.data(), shape});
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * bytes);
  })->UseRealTime();
}

template <typename Element>
void measure_all() {
  const auto halves = [](std::int64_t size) { return pool_axis(size, 2, 2, 0, false); };
  const PoolAxis resnet = pool_axis(112, 3, 2, 1, false);
  measure<Element>("256x26x26x32 by 2", {256, 32, halves(26), halves(26)});
  measure<Element>("256x11x11x64 by 2", {256, 64, halves(11), halves(11)});
  measure<Element>("16x112x112x64 by 3", {16, 64, resnet, resnet});
}

}  // namespace

void register_max_pool_relu_benchmarks() {
  measure_all<float>();
  measure_all<BFloat16>();
}

}  // namespace lockstep::kernels
