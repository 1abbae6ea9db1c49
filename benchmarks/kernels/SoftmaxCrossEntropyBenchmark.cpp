// Softmax cross-entropy at GPT-2's vocabulary and at ten classes. The bytes are those of the logits, read once, and of
// their gradients, written once.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/kernels/Benchmarks.h"
#include "kernels/CpuElements.h"
#include "kernels/softmax_cross_entropy/SoftmaxCrossEntropy.h"

namespace lockstep::kernels {
namespace {

template <typename Element>
struct Tensors {
  using Real = Arithmetic<Element>;
  Tensors(std::int64_t rows, std::int64_t classes)
      : logits(static_cast<std::size_t>(rows * classes)),
        dlogits(logits.size()),
        labels(static_cast<std::size_t>(rows)),
        loss(labels.size()),
        log_sum_exp(labels.size()),
        forward{logits.data(), labels.data(), nullptr,  loss.data(), log_sum_exp.data(),
                &loss_sum,     &denominator,  &invalid, nullptr,     rows,
                classes,       -100,          0},
        backward{logits.data(), labels.data(), nullptr, log_sum_exp.data(), &scale, dlogits.data(), nullptr, rows,
                 classes,       -100,          0} {
    std::mt19937 engine(1);
    std::normal_distribution<Real> normal;
    for (Element& logit : logits) logit = from_arithmetic<Element>(normal(engine));
    for (std::int64_t& label : labels) label = static_cast<std::int64_t>(engine() % static_cast<unsigned>(classes));
    softmax_cross_entropy(forward);
  }
  std::vector<Element> logits, dlogits;
  std::vector<std::int64_t> labels;
  std::vector<Real> loss, log_sum_exp;
  Real loss_sum = 0;
  Real denominator = 0;
  Real scale = Real(1e-3);
  std::int64_t invalid = 0;
  SoftmaxCrossEntropyForward<Element> forward;
  SoftmaxCrossEntropyBackward<Element> backward;
};

template <typename Element>
void measure(const std::string& element, std::int64_t rows, std::int64_t classes) {
  const std::string shape = "/" + element + "/" + std::to_string(rows) + "x" + std::to_string(classes);
  const auto bytes = static_cast<std::int64_t>(sizeof(Element)) * rows * classes;
  benchmark::RegisterBenchmark(("softmax_cross_entropy" + shape).c_str(), [=](benchmark::State& state) {
    Tensors<Element> tensors(rows, classes);
    for ([[maybe_unused]] auto _ : state) {
      softmax_cross_entropy(tensors.forward);
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * bytes);
  })->UseRealTime();
  benchmark::RegisterBenchmark(("softmax_cross_entropy_backward" + shape).c_str(), [=](benchmark::State& state) {
    Tensors<Element> tensors(rows, classes);
    for ([[maybe_unused]] auto _ : state) {
      softmax_cross_entropy_backward(tensors.backward);
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * bytes * 2);
  })->UseRealTime();
}

}  // namespace

void register_softmax_cross_entropy_benchmarks() {
  measure<float>("float32", 1024, 50257);
  measure<BFloat16>("bfloat16", 1024, 50257);
  measure<float>("float32", 8192, 10);
}

}  // namespace lockstep::kernels
