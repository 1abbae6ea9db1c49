// Layer norm at GPT-2's sizes; backward with both parameter gradients.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/layer_norm/LayerNorm.h"
#include "tests/kernels/Forms.h"

namespace lockstep::kernels {
namespace {

template <typename Element>
struct Tensors {
  using Real = Arithmetic<Element>;
  Tensors(std::int64_t row_count, std::int64_t column_count)
      : rows(row_count),
        columns(column_count),
        x(normal_elements<Element>(static_cast<std::size_t>(rows * columns), 1)),
        other(normal_elements<Element>(x.size(), 2)),
        sum(x.size()),
        y(x.size()),
        weight(static_cast<std::size_t>(columns), Real(1)),
        bias(weight.size()),
        weight_gradient(weight.size()),
        bias_gradient(weight.size()),
        mean(static_cast<std::size_t>(rows)),
        rstd(mean.size()),
        workspace(static_cast<std::size_t>(layer_norm_workspace(rows, columns))) {}
  LayerNormForward<Element> forward(bool residual) {
    return {x.data(),
            residual ? other.data() : nullptr,
            weight.data(),
            bias.data(),
            residual ? sum.data() : nullptr,
            y.data(),
            mean.data(),
            rstd.data(),
            rows,
            columns,
            1e-5};
  }
  LayerNormBackward<Element> backward() {
    return {other.data(),         x.data(),         mean.data(), rstd.data(),
            weight.data(),        nullptr,          y.data(),    weight_gradient.data(),
            bias_gradient.data(), workspace.data(), rows,        columns};
  }
  std::int64_t rows, columns;
  std::vector<Element> x, other, sum, y;
  std::vector<Real> weight, bias, weight_gradient, bias_gradient, mean, rstd, workspace;
};

/// `moved`: how many matrices `work` reads plus how many it writes.
template <typename Element, typename Work>
void measure(const std::string& name, std::int64_t rows, std::int64_t columns, int moved, const Work& work) {
  const std::string shape = std::to_string(rows) + "x" + std::to_string(columns);
  benchmark::RegisterBenchmark((name + "/" + element_name<Element>() + "/" + shape).c_str(), [=](benchmark::State&
                                                                                                     state) {
    Tensors<Element> tensors(rows, columns);
    layer_norm(tensors.forward(false));
    for ([[maybe_unused]] auto _ : state) {
      work(tensors);
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * rows * columns * moved * static_cast<std::int64_t>(sizeof(Element)));
  })->UseRealTime();
}

template <typename Element>
void measure_all(std::int64_t rows, std::int64_t columns) {
  using T = Tensors<Element>;
  measure<Element>("layer_norm", rows, columns, 2, [](T& tensors) { layer_norm(tensors.forward(false)); });
  measure<Element>("layer_norm_residual", rows, columns, 4, [](T& tensors) { layer_norm(tensors.forward(true)); });
  measure<Element>("layer_norm_backward", rows, columns, 3,
                   [](T& tensors) { layer_norm_backward(tensors.backward()); });
}

}  // namespace

void register_layer_norm_benchmarks() {
  measure_all<float>(8192, 768);
  measure_all<BFloat16>(8192, 768);
  measure_all<float>(1024, 1600);
}

}  // namespace lockstep::kernels
