#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "benchmarks/kernels/Benchmarks.h"
#include "kernels/ColumnSum.h"
#include "kernels/bias_gelu/BiasGelu.h"
#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

namespace {

template <typename Element>
void measure(std::int64_t rows, std::int64_t columns, Gelu form) {
  using Real = Arithmetic<Element>;
  const std::string shape = element_name<Element>() + "/" + std::to_string(rows) + "x" + std::to_string(columns);
  const std::string name = form == Gelu::kErf ? "bias_gelu" : "bias_gelu_tanh";
  const auto size = static_cast<std::size_t>(rows * columns);
  const auto width = static_cast<std::size_t>(columns);
  benchmark::RegisterBenchmark((name + "/" + shape).c_str(), [=](benchmark::State& state) {
    const auto x = normal_elements<Element>(size, 1);
    const auto bias = normal_elements<Real>(width, 2);
    std::vector<Element> y(size);
    for ([[maybe_unused]] auto _ : state) {
      bias_gelu(BiasGeluForward<Element>{x.data(), bias.data(), y.data(), rows, columns, form});
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * size * sizeof(Element)));
  })->UseRealTime();
  benchmark::RegisterBenchmark((name + "_backward/" + shape).c_str(), [=](benchmark::State& state) {
    const auto x = normal_elements<Element>(size, 1);
    const auto dy = normal_elements<Element>(size, 3);
    const auto bias = normal_elements<Real>(width, 2);
    std::vector<Element> dx(size);
    std::vector<Real> bias_gradient(width);
    std::vector<Real> workspace(static_cast<std::size_t>(column_sum_workspace(rows, columns)));
    for ([[maybe_unused]] auto _ : state) {
      bias_gelu_backward(BiasGeluBackward<Element>{dy.data(), x.data(), bias.data(), dx.data(), bias_gradient.data(),
                                                   workspace.data(), rows, columns, form});
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(3 * size * sizeof(Element)));
  })->UseRealTime();
}

}  // namespace

void register_bias_gelu_benchmarks() {
  for (const Gelu form : {Gelu::kErf, Gelu::kTanh}) {
    measure<float>(1024, 3072, form);
    measure<BFloat16>(1024, 3072, form);
  }
}

}  // namespace lockstep::kernels
