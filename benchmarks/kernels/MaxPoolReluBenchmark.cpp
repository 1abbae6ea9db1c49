// The pools of a small CNN for MNIST, and ResNet-50's.
#include "kernels/max_pool_relu/MaxPoolRelu.h"

#include "benchmarks/kernels/Benchmarks.h"

namespace lockstep::kernels {

namespace {

template <typename Element>
void add_case(Cases& cases, const PoolShape& shape) {
  const auto& [batch, channels, rows, columns] = shape;
  const std::int64_t inputs = batch * rows.size * columns.size * channels;
  const std::int64_t outputs = batch * rows.outputs * columns.outputs * channels;
  const auto bytes = (inputs + outputs) * static_cast<std::int64_t>(sizeof(Element)) + outputs;
  const auto text = [](std::int64_t number) { return std::to_string(number); };
  const std::string suffix = "/" + element_name<Element>() + "/" + text(batch) + "x" + text(rows.size) + "x" +
                             text(columns.size) + "x" + text(channels) + " by " + text(rows.kernel);
  constexpr auto kForward = [](auto... args) { max_pool_relu(args...); };
  cases.add("max_pool_relu" + suffix, bytes, [=, &cases]() -> Run {
    return [=, &cases, x = cases.normal<Element>(inputs, 1), y = cases.buffer<Element>(outputs),
            index = cases.buffer<std::uint8_t>(outputs)] {
      cases.call(kForward, MaxPoolReluForward<Element>{x.data(), y.data(), index.data(), shape, true});
    };
  });
  cases.add("max_pool_relu_backward" + suffix, bytes, [=, &cases]() -> Run {
    const auto y = cases.buffer<Element>(outputs);
    const auto index = cases.buffer<std::uint8_t>(outputs);
    {
      const auto x = cases.normal<Element>(inputs, 1);
      cases.form().run([&] {
        cases.call(kForward, MaxPoolReluForward<Element>{x.data(), y.data(), index.data(), shape, true});
      });
    }
    return [=, &cases, dx = cases.buffer<Element>(inputs)] {
      cases.call([](auto... args) { max_pool_relu_backward(args...); },
                 MaxPoolReluBackward<Element>{y.data(), index.data(), dx.data(), shape});
    };
  });
}

template <typename Element>
void add_cases(Cases& cases) {
  const auto halves = [](std::int64_t size) { return pool_axis(size, 2, 2, 0, false); };
  const PoolAxis resnet = pool_axis(112, 3, 2, 1, false);
  const std::int64_t batch = cases.pick(256, 4096);
  add_case<Element>(cases, {batch, 32, halves(26), halves(26)});
  add_case<Element>(cases, {batch, 64, halves(11), halves(11)});
  add_case<Element>(cases, {cases.pick(16, 128), 64, resnet, resnet});
}

}  // namespace

void add_max_pool_relu(Cases& cases) {
  add_cases<float>(cases);
  add_cases<BFloat16>(cases);
}

}  // namespace lockstep::kernels
