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
          // its last chunk is that of position 256, which a ninth warp sums
          {"chunk in a rest", 2, 8, repeated({{0, 10}, {1, 256}})},
          {"one token", 300, 3, std::vector<std::int64_t>(1100, 299)},
          {"a block of positions", 257, 4, random_tokens(512, 257)},
          {"frequent tokens, tiles", 70, 280, random_tokens(700, 70)}};
}

/// What a plan must be.
struct Planned {
  std::vector<std::int32_t> order, offsets;
  std::int64_t invalid = 0;
};

Planned planned(const EmbeddingCase& embedding) {
  std::vector<std::vector<std::int32_t>> positions(static_cast<std::size_t>(embedding.vocabulary));
  Planned result;
  for (std::size_t i = 0; i < embedding.tokens.size(); ++i) {
    const std::int64_t token = embedding.tokens[i];
    if (token < 0 || token >= embedding.vocabulary) {
      ++result.invalid;
    } else if (token != embedding.padding_index) {
      positions[static_cast<std::size_t>(token)].push_back(static_cast<std::int32_t>(i));
    }
  }
  result.offsets.push_back(0);
  for (const auto& each : positions) {
    result.order.insert(result.order.end(), each.begin(), each.end());
    result.offsets.push_back(static_cast<std::int32_t>(result.order.size()));
  }
  return result;
}

/// Calls `check(form, case, placement)` for all of them.
template <typename Check>
void for_each_embedding_case(const std::vector<EmbeddingCase>& cases, const Check& check) {
  for (const auto& form : forms()) {
    for (const EmbeddingCase& embedding : cases) {
      for (const Placement placement : placements()) {
        SCOPED_TRACE(form->name() + ", " + embedding.name +
                     (placement.at_end           ? ", at the end"
                      : placement.misaligned > 0 ? ", misaligned"
                                                 : ""));
        check(*form, embedding, placement);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(EmbeddingPlanTest, SortsPositionsAndCountsInvalidTokens) {
  std::vector<EmbeddingCase> cases = embedding_cases();
  cases.push_back({"one digit", 255, 1, {254, 255, 3, 254, 0, -1, 3}});
  cases.push_back({"two digits, one of them for invalid tokens", 256, 1, {255, 256, 3, 255, 0, -1, 3}});
  cases.push_back({"three digits", 65536, 1, random_tokens(700, 65536)});
  cases.push_back({"more than the most blocks of 512", 200, 1, random_tokens(kMostSortBlocks * 512 + 1, 200)});
  for_each_embedding_case(cases, [](const Form& form, const EmbeddingCase& embedding, Placement placement) {
    const bool takes_long = embedding.vocabulary > 1000 || embedding.tokens.size() > 1000;
    if (takes_long && !placement.at_end) return;
    const auto positions = static_cast<std::int64_t>(embedding.tokens.size());
    const Buffer<std::int64_t> tokens(form, embedding.tokens, placement);
    const Buffer<std::int32_t> order(form, embedding.tokens.size(), placement);
    const Buffer<std::int32_t> offsets(form, static_cast<std::size_t>(embedding.vocabulary + 1), placement);
    const Buffer<std::int32_t> workspace(form, static_cast<std::size_t>(embedding_plan_workspace(positions)),
                                         placement);
    const Buffer<std::int64_t> invalid(form, std::vector<std::int64_t>{100}, placement);
    const EmbeddingPlan plan{tokens.data(),  order.data(), offsets.data(),       workspace.data(),
                             invalid.data(), positions,    embedding.vocabulary, embedding.padding_index};
    run(
        form, [](auto&&... args) { plan_embedding_gradient(args...); }, plan);
    const Planned expected = planned(embedding);
    EXPECT_EQ(invalid.values().front(), 100 + expected.invalid);
    EXPECT_EQ(offsets.values(), expected.offsets);
    std::vector<std::int32_t> with_gradient = order.values();
    with_gradient.resize(expected.order.size());
    EXPECT_EQ(with_gradient, expected.order);
  });
}

template <typename Element>
class EmbeddingGradientTest : public testing::Test {};
TYPED_TEST_SUITE(EmbeddingGradientTest, Elements);

TYPED_TEST(EmbeddingGradientTest, SumsMatchTheDefinition) {
  using Element = TypeParam;
  using Real = Arithmetic<Element>;
  for_each_embedding_case(embedding_cases(), [](const Form& form, const EmbeddingCase& embedding, Placement placement) {
    const auto positions = static_cast<std::int64_t>(embedding.tokens.size());
    const auto columns = static_cast<std::size_t>(embedding.columns);
    const auto size = static_cast<std::size_t>(embedding.vocabulary) * columns;
    const auto dy = normal_elements<Element>(embedding.tokens.size() * columns, 3);
    Planned planned_case = planned(embedding);
    std::vector<double> gradient(size);
    for (const std::int32_t position : planned_case.order) {
      const auto from = static_cast<std::size_t>(position);
      for (std::size_t c = 0; c < columns; ++c) {
        gradient[static_cast<std::size_t>(embedding.tokens[from]) * columns + c] +=
            to_arithmetic(dy[from * columns + c]);
      }
    }
    planned_case.order.resize(embedding.tokens.size(), -1);  // what has no gradient must not be looked at
    const Buffer<std::int64_t> tokens(form, embedding.tokens, placement);
    const Buffer<std::int32_t> order(form, planned_case.order, placement);
    const Buffer<std::int32_t> offsets(form, planned_case.offsets, placement);
    const EmbeddingPlan plan{tokens.data(), order.data(), offsets.data(),       nullptr,
                             nullptr,       positions,    embedding.vocabulary, embedding.padding_index};
    for (const std::size_t shift : {0, 1}) {
      // Every buffer is once the only misaligned one: then too no other may be read by wide accesses.
      const auto place = [&, turn = (embedding.tokens.size() + shift) % 3](std::size_t buffer) {
        return placement.misaligned > 0 && buffer != turn ? Placement{} : placement;
      };
      const Buffer<Element> dy_buffer(form, dy, place(0));
      const Buffer<Real> workspace(
          form, static_cast<std::size_t>(embedding_gradient_workspace(positions, embedding.columns)), place(1));
      const Buffer<Element> gradient_buffer(form, size, place(2));
      run(
          form, [](auto&&... args) { embedding_gradient(args...); },
          EmbeddingGradient<Element>{plan, dy_buffer.data(), gradient_buffer.data(), workspace.data(),
                                     embedding.columns});
      EXPECT_LE(relative_error(gradient_buffer.values(), gradient), tolerance<Element>());
    }
  });
}

}  // namespace
}  // namespace lockstep::kernels
