#include "kernels/bias_gelu/BiasGelu.h"

#include "benchmarks/kernels/Benchmarks.h"
#include "kernels/ColumnSum.h"

namespace lockstep::kernels {

namespace {

template <typename Element>
void add_cases(Cases& cases, std::int64_t rows, std::int64_t columns, Gelu gelu) {
  using Real = Arithmetic<Element>;
  const std::string shape = "/" + element_name<Element>() + "/" + std::to_string(rows) + "x" + std::to_string(columns);
  const std::string name = gelu == Gelu::kErf ? "bias_gelu" : "bias_gelu_tanh";
  const std::int64_t size = rows * columns;
  const auto bytes = size * static_cast<std::int64_t>(sizeof(Element));
  cases.add(name + shape, 2 * bytes, [=, &cases]() -> Run {
    return [=, &cases, x = cases.normal<Element>(size, 1), bias = cases.normal<Real>(columns, 2),
            y = cases.buffer<Element>(size)] {
      cases.call([](auto... args) { bias_gelu(args...); },
                 BiasGeluForward<Element>{x.data(), bias.data(), y.data(), rows, columns, gelu});
    };
  });
  cases.add(name + "_backward" + shape, 3 * bytes, [=, &cases]() -> Run {
    return [=, &cases, x = cases.normal<Element>(size, 1), dy = cases.normal<Element>(size, 3),
            bias = cases.normal<Real>(columns, 2), dx = cases.buffer<Element>(size),
            bias_gradient = cases.buffer<Real>(columns),
            workspace = cases.buffer<Real>(column_sum_workspace(rows, columns))] {
      cases.call([](auto... args) { bias_gelu_backward(args...); },
                 BiasGeluBackward<Element>{dy.data(), x.data(), bias.data(), dx.data(), bias_gradient.data(),
                                           workspace.data(), rows, columns, gelu});
    };
  });
}

}  // namespace

void add_bias_gelu(Cases& cases) {
  const std::int64_t rows = cases.pick(1024, 16384);
  for (const Gelu gelu : {Gelu::kErf, Gelu::kTanh}) {
    add_cases<float>(cases, rows, 3072, gelu);
    add_cases<BFloat16>(cases, rows, 3072, gelu);
  }
}

}  // namespace lockstep::kernels
