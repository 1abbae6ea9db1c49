#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "kernels/embedding_gradient/EmbeddingGradient.h"
#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

struct EmbeddingCase {
  std::string name;
  std::int64_t vocabulary, columns;
  std::vector<std::int64_t> tokens;
  std::int64_t padding_index = -1;
};

std::vector<std::int64_t> random_tokens(std::int64_t positions, std::int64_t vocabulary) {
  std::mt19937 engine(1);
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = 0; i < positions; ++i) {
    // Small tokens are frequent, as in texts.
    const double uniform = static_cast<double>(engine()) / 4294967296.0;
    tokens.push_back(static_cast<std::int64_t>(uniform * uniform * uniform * static_cast<double>(vocabulary)));
  }
  return tokens;
}

std::vector<std::int64_t> repeated(std::vector<std::pair<std::int64_t, int>> counts) {
  std::vector<std::int64_t> tokens;
  for (const auto& [token, count] : counts) tokens.insert(tokens.end(), static_cast<std::size_t>(count), token);
  std::shuffle(tokens.begin(), tokens.end(), std::mt19937(2));
  return tokens;
}

// Sides of a chunk (32), of a sort's block (512) and of its digit (256); columns of a warp's tile (32 vectors).
std::vector<EmbeddingCase> embedding_cases() {
  constexpr auto kFar = std::int64_t{1} << 40;
  return {{"no positions", 3, 5, {}},
          {"no vocabulary", 0, 8, {0, 1, -1}},
          {"no columns", 3, 0, {0, 1, 1}},
          {"one", 1, 1, {0}},
          {"invalid", 4, 7, {3, -1, 4, 0, kFar, -kFar, 3, kFar + 1, 2}},
          {"padding", 4, 16, {1, 2, 2, 0, 1, 4, 2}, 2},
          {"around chunks", 9, 8, repeated({{0, 5}, {2, 31}, {3, 32}, {4, 33}, {5, 63}, {6, 64}, {7, 65}}), 0},
          {"one token", 300, 3, std::vector<std::int64_t>(1100, 299)},
          {"a block of positions", 257, 4, random_tokens(512, 257)},
          {"frequent tokens, tiles", 70, 280, random_tokens(700, 70)},
          {"three digits", 65536, 1, random_tokens(1500, 65536)},
          {"last token of two digits", 65535, 1, {65534, 255, 256, 65534, 65535, 0, 255}}};
}

template <typename Element>
class EmbeddingGradientTest : public testing::Test {};
TYPED_TEST_SUITE(EmbeddingGradientTest, Elements);

TYPED_TEST(EmbeddingGradientTest, PlansAndSumsMatchTheDefinition) {
  using Element = TypeParam;
  using Real = Arithmetic<Element>;
  for (const EmbeddingCase& embedding : embedding_cases()) {
    const auto positions = static_cast<std::int64_t>(embedding.tokens.size());
    const auto vocabulary = static_cast<std::size_t>(embedding.vocabulary);
    const auto columns = static_cast<std::size_t>(embedding.columns);
    const auto dy = normal_elements<Element>(embedding.tokens.size() * columns, 3);
    const auto before = normal_elements<Real>(vocabulary * columns, 4);
    std::vector<double> gradient(vocabulary * columns);
    std::vector<std::vector<std::int32_t>> positions_of(vocabulary);
    std::int64_t invalid = 0;
    for (std::size_t i = 0; i < embedding.tokens.size(); ++i) {
      const std::int64_t token = embedding.tokens[i];
      if (token < 0 || token >= embedding.vocabulary) {
        ++invalid;
      } else if (token != embedding.padding_index) {
        positions_of[static_cast<std::size_t>(token)].push_back(static_cast<std::int32_t>(i));
        for (std::size_t c = 0; c < columns; ++c) {
          gradient[static_cast<std::size_t>(token) * columns + c] += to_arithmetic(dy[i * columns + c]);
        }
      }
    }
    std::vector<std::int32_t> order;
    std::vector<std::int32_t> offsets = {0};
    for (const auto& each : positions_of) {
      order.insert(order.end(), each.begin(), each.end());
      offsets.push_back(static_cast<std::int32_t>(order.size()));
    }
    for (const auto& form : forms()) {
      for (const Placement placement : placements()) {
        SCOPED_TRACE(form->name() + ", " + embedding.name +
                     (placement.at_end ? ", at the end" : placement.misaligned > 0 ? ", misaligned" : ""));
        const Buffer<std::int64_t> token_buffer(*form, embedding.tokens, placement);
        const Buffer<std::int32_t> order_buffer(*form, embedding.tokens.size(), placement);
        const Buffer<std::int32_t> offset_buffer(*form, vocabulary + 1, placement);
        const Buffer<std::int32_t> plan_workspace(
            *form, static_cast<std::size_t>(embedding_plan_workspace(positions)), placement);
        const Buffer<std::int64_t> invalid_buffer(*form, std::vector<std::int64_t>{100}, placement);
        EmbeddingPlan plan{token_buffer.data(),   order_buffer.data(), offset_buffer.data(),
                           plan_workspace.data(), nullptr,             positions,
                           embedding.vocabulary,  embedding.padding_index};
        const auto make_plan = [](auto&&... args) { plan_embedding_gradient(args...); };
        run(*form, make_plan, plan);
        plan.invalid = invalid_buffer.data();
        run(*form, make_plan, plan);
        EXPECT_EQ(invalid_buffer.values().front(), 100 + invalid);
        EXPECT_EQ(offset_buffer.values(), offsets);
        auto planned = order_buffer.values();
        planned.resize(order.size());
        EXPECT_EQ(planned, order);
        const Buffer<Element> dy_buffer(*form, dy, placement);
        const Buffer<Real> workspace(
            *form, static_cast<std::size_t>(embedding_gradient_workspace(positions, embedding.columns)), placement);
        for (const bool accumulate : {false, true}) {
          const Buffer<Real> gradient_buffer =
              accumulate ? Buffer<Real>(*form, before, placement) : Buffer<Real>(*form, before.size(), placement);
          run(
              *form, [](auto&&... args) { embedding_gradient(args...); },
              EmbeddingGradient<Element>{plan, dy_buffer.data(), gradient_buffer.data(), workspace.data(),
                                         embedding.columns, accumulate});
          std::vector<double> expected = gradient;
          if (accumulate) {
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += before[i];
          }
          EXPECT_LE(relative_error(gradient_buffer.values(), expected), tolerance<Real>());
        }
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
