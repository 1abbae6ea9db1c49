#include "engine/artifacts/primitives/PrimitiveSimplification.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "common/Error.h"
#include "engine/artifacts/primitives/PrimitiveDecompositions.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveTerm.h"
#include "engine/artifacts/primitives/PrimitiveText.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

const std::vector<Dimension> kSizes = {"s0", std::int64_t{3}, std::int64_t{4}};

// The graph of what `make` makes of x, float32 [s0, 3, 4].
PrimitiveGraph graph_of(const std::function<Term(const Term& x)>& make) {
  PrimitiveBuilder builder;
  const Term x(builder, builder.input("x", {ElementType::kFloat, kSizes}));
  builder.output("y", make(x).id());
  return std::move(builder).finish();
}

// The operations of the simplified graph, constants left out.
std::vector<std::string> operations(const std::function<Term(const Term& x)>& make) {
  const PrimitiveGraph before = graph_of(make);
  const PrimitiveGraph after = simplified(before);
  const at::Tensor x = at::randn({2, 3, 4});
  EXPECT_TRUE(
      at::equal(PrimitiveInterpreter(before, {}).run({x}).at(0), PrimitiveInterpreter(after, {}).run({x}).at(0)));
  std::vector<std::string> names;
  for (const PrimitiveNode& node : after.nodes) names.push_back(operation_name(node.operation));
  std::erase(names, "Constant");
  return names;
}

using Names = std::vector<std::string>;

TEST(PrimitiveSimplification, TakesOutWhatChangesNothing) {
  const auto ones = [](const Term& x) {
    return filled(x.builder(), 1.0, x.type(), {x.size(0), std::int64_t{1}, std::int64_t{1}});
  };
  EXPECT_EQ(operations([&](const Term& x) { return -(x * (ones(x) * 0.8 / 0.8)); }), Names{"Negative"});
  EXPECT_EQ(operations([](const Term& x) { return 0.0 - (x + 0.0) * 1.0; }), Names{"Subtract"});
  EXPECT_EQ(operations([](const Term& x) {
              const Term mask = less_equal(x, number_like(x, 0.5));
              return select(logical_and(number(x.builder(), true, ElementType::kBool), mask), x, -x);
            }),
            (Names{"LessEqual", "Negative", "Select"}));
  EXPECT_EQ(operations([](const Term& x) { return select(number(x.builder(), false, ElementType::kBool), -x, x * x); }),
            Names{"Multiply"});
}

TEST(PrimitiveSimplification, BroadcastsOnlyWhatIsReadSo) {
  EXPECT_EQ(operations([](const Term& x) {
              return x + broadcast(slice(x, 1, std::int64_t{0}, std::int64_t{1}), x.all_sizes());
            }),
            (Names{"Slice", "Add"}));
  // Both sides are small: without a broadcast the sum would be, too.
  const Names kept = operations([](const Term& x) {
    const Term part = slice(x, 1, std::int64_t{0}, std::int64_t{1});
    return broadcast(part, x.all_sizes()) + part;
  });
  EXPECT_EQ(std::ranges::count(kept, "Broadcast"), 1);
}

TEST(PrimitiveSimplification, JoinsWhatFollowsUponItsOwnKind) {
  EXPECT_EQ(operations([](const Term& x) {
              return transpose(transpose(x, {0, 2, 1}), {2, 0, 1});
            }),
            Names{"Transpose"});
  EXPECT_EQ(operations([](const Term& x) {
              return -transpose(transpose(x, {0, 2, 1}), {0, 2, 1});
            }),
            Names{"Negative"});
  EXPECT_EQ(operations([](const Term& x) {
              return reshape(reshape(x, {std::int64_t{-1}, std::int64_t{12}}),
                             {std::int64_t{-1}, std::int64_t{6}, std::int64_t{2}});
            }),
            Names{"Reshape"});
  EXPECT_EQ(operations([](const Term& x) { return unsqueeze(unsqueeze(x, 1), 0); }), Names{"Unsqueeze"});
  EXPECT_EQ(operations([](const Term& x) { return unsqueeze(unsqueeze(x, 1), 2); }), Names{"Unsqueeze"});
}

TEST(PrimitiveSimplification, ComputesConstantsOnce) {
  EXPECT_EQ(operations([](const Term& x) {
              const Term places = range(x.builder(), std::int64_t{0}, std::int64_t{4});
              return x * cast(less(places * places, number_like(places, std::int64_t{3})), x.type());
            }),
            Names{"Multiply"});
  // What would be much larger than what it is made of stays as it is.
  const PrimitiveGraph large = simplified(graph_of([](const Term& x) {
    return filled(x.builder(), 1.0, x.type(), {std::int64_t{1} << 20}) +
           number_like(reshape(x, {std::int64_t{-1}}), 1.0);
  }));
  for (const PrimitiveNode& node : large.nodes) {
    const auto* constant = std::get_if<primitive::Constant>(&node.operation);
    EXPECT_TRUE(!constant || constant->bytes.size() < 100);
  }
}

TEST(PrimitiveBuilder, MakesEqualNodesOnce) {
  const PrimitiveGraph graph = graph_of([](const Term& x) { return (-x * 2.0) + (-x * 2.0); });
  EXPECT_EQ(graph.nodes.size(), 4);  // negative, constant, product, sum
}

TEST(PrimitiveBuilder, KnowsSizesByTheirNames) {
  const PrimitiveGraph graph = graph_of([](const Term& x) {
    const Term rows = reshape(x, {x.size(0), std::int64_t{12}});
    EXPECT_EQ(rows.sizes(), (std::vector<Dimension>{"s0", std::int64_t{12}}));
    return range(x.builder(), std::int64_t{0}, rows.size(0));
  });
  EXPECT_EQ(graph.values[graph.outputs[0].value.index].sizes, std::vector<Dimension>{"s0"});
  const std::string text = to_text(graph);
  EXPECT_NE(text.find("int64[] = Size(%0)"), std::string::npos) << text;
  EXPECT_NE(text.find("int64[s0] = Range("), std::string::npos) << text;
}

TEST(PrimitiveDecompositions, LeaveWhatIsNotChosen) {
  const auto make = [](const Term& x) {
    return perform(primitive::Gelu{}, {perform(primitive::LayerNorm{1, 1e-5}, {x})});
  };
  const PrimitiveGraph graph = decompose(graph_of(make), [](const PrimitiveNode& node) {
    return std::holds_alternative<primitive::Gelu>(node.operation);
  });
  const auto count = [&](const std::string& name) {
    return std::ranges::count_if(graph.nodes, [&](const auto& node) { return operation_name(node.operation) == name; });
  };
  EXPECT_EQ(count("LayerNorm"), 1);
  EXPECT_EQ(count("Gelu"), 0);
  EXPECT_EQ(count("Erf"), 1);
}

TEST(PrimitiveInterpreter, HoldsValuesAgainstWhatTheGraphSays) {
  PrimitiveGraph graph = graph_of([](const Term& x) { return -x; });
  const ValueId y = graph.outputs[0].value;
  EXPECT_ERROR(PrimitiveInterpreter(graph, {}).run({at::randn({2, 5, 4})}), InternalError, "[2, 5, 4]", "[s0, 3, 4]");
  EXPECT_ERROR(PrimitiveInterpreter(graph, {}).run({at::randn({2, 3, 4}, at::kDouble)}), InternalError, "type Double");
  EXPECT_ERROR(PrimitiveInterpreter(graph, {}).run({}), InternalError, "other inputs");
  EXPECT_ERROR(PrimitiveInterpreter(graph, {at::ones({1})}), InternalError, "other state");
  graph.values[y.index].sizes = {"s1", "s1", std::int64_t{4}};
  EXPECT_ERROR(PrimitiveInterpreter(graph, {}).run({at::randn({2, 3, 4})}), InternalError, "[s1, s1, 4]");
  EXPECT_NO_THROW(PrimitiveInterpreter(graph, {}).run({at::randn({3, 3, 4})}));
  graph.values[y.index].type = ElementType::kInt64;
  EXPECT_ERROR(PrimitiveInterpreter(graph, {}).run({at::randn({3, 3, 4})}), InternalError, "says int64");
}

}  // namespace
}  // namespace lockstep
