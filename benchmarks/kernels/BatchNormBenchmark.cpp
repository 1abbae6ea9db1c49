// Batch norm with ReLU behind it, and with a residual between the two, at a ResNet's sizes for 64 images: pixels ×
// channels. CPU only.
#include "kernels/batch_norm/BatchNorm.h"

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
        y(cases.normal<Element>(rows * columns, 3)),
        dx(cases.buffer<Element>(rows * columns)),
        dresidual(cases.buffer<Element>(rows * columns)),
        weight(cases.filled(columns, Real(1))),
        bias(cases.filled(columns, Real(0))),
        mean(cases.filled(columns, Real(0))),
        rstd(cases.filled(columns, Real(1))),
        running_mean(cases.filled(columns, Real(0))),
        running_variance(cases.filled(columns, Real(1))),
        weight_gradient(cases.buffer<Real>(columns)),
        bias_gradient(cases.buffer<Real>(columns)),
        workspace(cases.buffer<Real>(batch_norm_workspace(rows, columns))) {}
  BatchNormForward<Element> forward(bool residual) const {
    return {x.data(),
            residual ? other.data() : nullptr,
            weight.data(),
            bias.data(),
            y.data(),
            mean.data(),
            rstd.data(),
            running_mean.data(),
            running_variance.data(),
            workspace.data(),
            rows,
            columns,
            1e-5,
            0.1,
            true};
  }
  BatchNormBackward<Element> backward(bool residual) const {
    return {other.data(),
            x.data(),
            y.data(),
            mean.data(),
            rstd.data(),
            weight.data(),
            bias.data(),
            dx.data(),
            residual ? dresidual.data() : nullptr,
            weight_gradient.data(),
            bias_gradient.data(),
            workspace.data(),
            rows,
            columns,
            true};
  }
  std::int64_t rows, columns;
  Buffer<Element> x, other, y, dx, dresidual;
  Buffer<Real> weight, bias, mean, rstd, running_mean, running_variance, weight_gradient, bias_gradient, workspace;
};

template <typename Element>
void add_cases(Cases& cases, std::int64_t rows, std::int64_t columns) {
  using T = Tensors<Element>;
  add_matrix_case<Element, Tensors>(cases, "batch_norm_relu", rows, columns, 2,
                                    [](const Cases&, const T& tensors) { batch_norm(tensors.forward(false)); });
  add_matrix_case<Element, Tensors>(cases, "batch_norm_residual_relu", rows, columns, 3,
                                    [](const Cases&, const T& tensors) { batch_norm(tensors.forward(true)); });
  add_matrix_case<Element, Tensors>(
      cases, "batch_norm_relu_backward", rows, columns, 3,
      [](const Cases&, const T& tensors) { batch_norm_backward(tensors.backward(false)); });
  add_matrix_case<Element, Tensors>(
      cases, "batch_norm_residual_relu_backward", rows, columns, 5,
      [](const Cases&, const T& tensors) { batch_norm_backward(tensors.backward(true)); });
}

}  // namespace

void add_batch_norm(Cases& cases) {
  if (cases.on_gpu()) return;
  add_cases<float>(cases, 65536, 64);
  add_cases<float>(cases, 4096, 512);
  add_cases<BFloat16>(cases, 65536, 64);
}

}  // namespace lockstep::kernels
