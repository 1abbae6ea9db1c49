#include "kernels/embedding_gradient/EmbeddingGradient.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/CpuElements.h"

namespace lockstep::kernels {

namespace {

#define LOCKSTEP_ROW(Element)                                                                              \
  LOCKSTEP_MULTIVERSION void add_row(const Element* __restrict dy, Arithmetic<Element>* __restrict sums,   \
                                     std::int64_t n) {                                                     \
    for (std::int64_t i = 0; i < n; ++i) sums[i] += to_arithmetic(dy[i]);                                  \
  }                                                                                                        \
  LOCKSTEP_MULTIVERSION void round_row(const Arithmetic<Element>* __restrict sums, Element* __restrict to, \
                                       std::int64_t n) {                                                   \
    for (std::int64_t i = 0; i < n; ++i) to[i] = from_arithmetic<Element>(sums[i]);                        \
  }
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_ROW)
#undef LOCKSTEP_ROW

}  // namespace

void plan_embedding_gradient(const EmbeddingPlan& plan) {
  std::int32_t* offsets = plan.offsets;
  std::fill_n(offsets, plan.vocabulary + 1, 0);
  std::int64_t invalid = 0;
  for (std::int64_t i = 0; i < plan.positions; ++i) {
    const std::int64_t token = plan.tokens[i];
    invalid += plan.is_valid(token) ? 0 : 1;
    if (plan.has_gradient(token)) ++offsets[token];
  }
  if (plan.invalid != nullptr) *plan.invalid += invalid;
  std::int32_t sum = 0;
  for (std::int64_t v = 0; v <= plan.vocabulary; ++v) {
    const std::int32_t count = offsets[v];
    offsets[v] = sum;
    sum += count;
  }
  // Each offset moves to its token's end, which is where the next token begins.
  for (std::int64_t i = 0; i < plan.positions; ++i) {
    const std::int64_t token = plan.tokens[i];
    plan.order[offsets[plan.has_gradient(token) ? token : plan.vocabulary]++] = static_cast<std::int32_t>(i);
  }
  std::copy_backward(offsets, offsets + plan.vocabulary, offsets + plan.vocabulary + 1);
  offsets[0] = 0;
}

template <typename Element>
void embedding_gradient(const EmbeddingGradient<Element>& args) {
  const EmbeddingPlan& plan = args.plan;
#pragma omp parallel if ((plan.positions + plan.vocabulary) * args.columns > kSerialElements)
  {
    std::vector<Arithmetic<Element>> sums(static_cast<std::size_t>(args.columns));
#pragma omp for schedule(dynamic, 64)
    for (std::int64_t v = 0; v < plan.vocabulary; ++v) {
      Element* to = args.weight_gradient + v * args.columns;
      if (plan.offsets[v] == plan.offsets[v + 1]) {
        std::fill_n(to, args.columns, Element());
        continue;
      }
      std::fill(sums.begin(), sums.end(), 0);
      for (std::int32_t i = plan.offsets[v]; i < plan.offsets[v + 1]; ++i) {
        add_row(args.dy + plan.order[i] * args.columns, sums.data(), args.columns);
      }
      round_row(sums.data(), to, args.columns);
    }
  }
}

#define LOCKSTEP_INSTANTIATE(Element) template void embedding_gradient(const EmbeddingGradient<Element>&);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels
