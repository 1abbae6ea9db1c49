// Layer norm at GPT-2's sizes; backward with both parameter gradients.
#include "kernels/layer_norm/LayerNorm.h"

#include "benchmarks/kernels/Benchmarks.h"

namespace lockstep::kernels {

namespace {

template <typename Element>
struct Tensors {
  using Real = Arithmetic<Element>;
  Tensors(const Cases& cases, std::int64_t row_count, std::int64_t column_count)
      : rows(row_count),
        columns(column_count),
        x(cases.normal<Element>(rows * columns, 1)),
        other(cases.normal<Element>(rows * columns, 2)),
        sum(cases.buffer<Element>(rows * columns)),
        y(cases.buffer<Element>(rows * columns)),
        weight(cases.filled(columns, Real(1))),
        bias(cases.filled(columns, Real(0))),
        weight_gradient(cases.buffer<Real>(columns)),
        bias_gradient(cases.buffer<Real>(columns)),
        mean(cases.filled(rows, Real(0))),
        rstd(cases.filled(rows, Real(1))),
        workspace(cases.buffer<Real>(layer_norm_workspace(rows, columns))) {}
  LayerNormForward<Element> forward(bool residual) const {
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
  LayerNormBackward<Element> backward() const {
    return {other.data(),         x.data(),         mean.data(), rstd.data(),
            weight.data(),        nullptr,          y.data(),    weight_gradient.data(),
            bias_gradient.data(), workspace.data(), rows,        columns};
  }
  std::int64_t rows, columns;
  Buffer<Element> x, other, sum, y;
  Buffer<Real> weight, bias, weight_gradient, bias_gradient, mean, rstd, workspace;
};

template <typename Element>
void add_cases(Cases& cases, std::int64_t rows, std::int64_t columns) {
  using T = Tensors<Element>;
  constexpr auto kForward = [](auto... args) { layer_norm(args...); };
  add_matrix_case<Element, Tensors>(cases, "layer_norm", rows, columns, 2, [=](const Cases& on, const T& tensors) {
    on.call(kForward, tensors.forward(false));
  });
  add_matrix_case<Element, Tensors>(
      cases, "layer_norm_residual", rows, columns, 4,
      [=](const Cases& on, const T& tensors) { on.call(kForward, tensors.forward(true)); });
  add_matrix_case<Element, Tensors>(cases, "layer_norm_backward", rows, columns, 3,
                                    [](const Cases& on, const T& tensors) {
                                      on.call([](auto... args) { layer_norm_backward(args...); }, tensors.backward());
                                    });
}

}  // namespace

void add_layer_norm(Cases& cases) {
  const std::int64_t rows = cases.pick(8192, 65536);
  add_cases<float>(cases, rows, 768);
  add_cases<BFloat16>(cases, rows, 768);
  add_cases<float>(cases, cases.pick(1024, 32768), 1600);
}

}  // namespace lockstep::kernels
