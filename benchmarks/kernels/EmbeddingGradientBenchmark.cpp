// GPT-2's table, with tokens as frequent as in a text (Zipf), and no token twice.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "kernels/embedding_gradient/EmbeddingGradient.h"
#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

namespace {

constexpr std::int64_t kVocabulary = 50257;
constexpr std::int64_t kColumns = 768;

template <typename Element>
void measure(std::int64_t positions, bool zipf) {
  using Real = Arithmetic<Element>;
  const std::string name = element_name<Element>() + "/" + std::to_string(positions) + (zipf ? " Zipf" : " distinct");
  benchmark::RegisterBenchmark(("embedding_gradient/" + name).c_str(), [=](benchmark::State& state) {
    std::mt19937 engine(1);
    std::uniform_real_distribution<double> uniform;
    std::vector<std::int64_t> tokens;
    for (std::int64_t i = 0; i < positions; ++i) {
      tokens.push_back(zipf ? static_cast<std::int64_t>(std::pow(double{kVocabulary}, uniform(engine))) - 1
                            : i * 31 % kVocabulary);
    }
    const auto dy = normal_elements<Element>(static_cast<std::size_t>(positions * kColumns), 1);
    std::vector<Real> gradient(static_cast<std::size_t>(kVocabulary * kColumns));
    std::vector<Real> workspace(static_cast<std::size_t>(embedding_gradient_workspace(positions, kColumns)));
    std::vector<std::int32_t> order(tokens.size());
    std::vector<std::int32_t> offsets(kVocabulary + 1);
    std::vector<std::int32_t> plan_workspace(static_cast<std::size_t>(embedding_plan_workspace(positions)));
    const EmbeddingPlan plan{tokens.data(), order.data(), offsets.data(), plan_workspace.data(),
                             nullptr,       positions,    kVocabulary};
    for ([[maybe_unused]] auto _ : state) {
      plan_embedding_gradient(plan);
      embedding_gradient(
          EmbeddingGradient<Element>{plan, dy.data(), gradient.data(), workspace.data(), kColumns, false});
      benchmark::ClobberMemory();
    }
    const auto moved = static_cast<std::int64_t>(dy.size() * sizeof(Element) + gradient.size() * sizeof(Real));
    state.SetBytesProcessed(state.iterations() * (moved + 8 * positions));
  })->UseRealTime();
}

template <typename Element>
void measure_all() {
  measure<Element>(8192, true);
  measure<Element>(8192, false);
  measure<Element>(32768, true);
}

}  // namespace

void register_embedding_gradient_benchmarks() {
  measure_all<float>();
  measure_all<BFloat16>();
}

}  // namespace lockstep::kernels
