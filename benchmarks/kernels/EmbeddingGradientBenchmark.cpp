// GPT-2's table, with tokens as frequent as in a text (Zipf), and no token twice.
#include "kernels/embedding_gradient/EmbeddingGradient.h"

#include <cmath>
#include <random>

#include "benchmarks/kernels/Benchmarks.h"

namespace lockstep::kernels {

namespace {

constexpr std::int64_t kVocabulary = 50257;
constexpr std::int64_t kColumns = 768;

std::vector<std::int64_t> tokens_of(std::int64_t positions, bool zipf) {
  std::mt19937 engine(1);
  std::uniform_real_distribution<double> uniform;
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = 0; i < positions; ++i) {
    tokens.push_back(zipf ? static_cast<std::int64_t>(std::pow(double{kVocabulary}, uniform(engine))) - 1
                          : i * 31 % kVocabulary);
  }
  return tokens;
}

template <typename Element>
void add_case(Cases& cases, std::int64_t positions, bool zipf) {
  using Real = Arithmetic<Element>;
  const std::string name = element_name<Element>() + "/" + std::to_string(positions) + (zipf ? " Zipf" : " distinct");
  const auto bytes = (positions + kVocabulary) * kColumns * static_cast<std::int64_t>(sizeof(Element)) + 8 * positions;
  cases.add("embedding_gradient/" + name, bytes, [=, &cases]() -> Run {
    return
        [=, &cases, tokens = cases.buffer(tokens_of(positions, zipf)),
         dy = cases.normal<Element>(positions * kColumns, 1), gradient = cases.buffer<Element>(kVocabulary * kColumns),
         workspace = cases.buffer<Real>(embedding_gradient_workspace(positions, kColumns)),
         order = cases.buffer<std::int32_t>(positions), offsets = cases.buffer<std::int32_t>(kVocabulary + 1),
         plan_workspace = cases.buffer<std::int32_t>(embedding_plan_workspace(positions))] {
          const EmbeddingPlan plan{tokens.data(), order.data(), offsets.data(), plan_workspace.data(),
                                   nullptr,       positions,    kVocabulary};
          cases.call([](auto... args) { plan_embedding_gradient(args...); }, plan);
          cases.call([](auto... args) { embedding_gradient(args...); },
                     EmbeddingGradient<Element>{plan, dy.data(), gradient.data(), workspace.data(), kColumns});
        };
  });
}

template <typename Element>
void add_cases(Cases& cases) {
  add_case<Element>(cases, 8192, true);
  add_case<Element>(cases, 8192, false);
  add_case<Element>(cases, 32768, true);
}

}  // namespace

void add_embedding_gradient(Cases& cases) {
  add_cases<float>(cases);
  add_cases<BFloat16>(cases);
}

}  // namespace lockstep::kernels
