#include "engine/artifacts/tensorflow/TensorflowWriter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "common/Error.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"
#include "engine/artifacts/primitives/PrimitiveTerm.h"
#include "engine/artifacts/tensorflow/ReshapeGroups.h"
#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"
#include "engine/program/Program.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PrimitiveCases.h"
#include "tests/support/Soak.h"

namespace lockstep {
namespace {

namespace p = primitive;
using Sizes = std::vector<Dimension>;

std::ptrdiff_t count(const TensorflowFunction& function, const std::string& op) {
  return std::ranges::count(function.nodes, op, &TensorflowNode::op);
}

/// Graphs of doubles.
class Writing {
 public:
  Term input(const std::string& name, const Sizes& sizes) {
    return {builder_, builder_.input(name, {ElementType::kDouble, sizes})};
  }
  Term state(const std::string& name, const Sizes& sizes) {
    return {builder_, builder_.state({name}, {ElementType::kDouble, sizes}, true)};
  }
  /// Writes the graph that returns this; what it computes is what the primitives compute.
  TensorflowFunction expect_same(const std::vector<Term>& outputs, const std::vector<Ints>& input_sizes) {
    for (std::size_t i = 0; i < outputs.size(); ++i) builder_.output("output_" + std::to_string(i), outputs[i].id());
    const PrimitiveGraph graph = std::move(builder_).finish();
    std::vector<at::Tensor> inputs;
    std::map<std::string, at::Tensor> by_name;
    for (std::size_t i = 0; i < input_sizes.size(); ++i) {
      inputs.push_back(at::randn(input_sizes[i], at::kDouble));
      by_name[graph.inputs.at(i).name] = inputs.back();
    }
    std::vector<at::Tensor> state;
    std::map<std::string, at::Tensor> by_state_name;
    for (const PrimitiveState& each : graph.state) {
      Ints sizes;
      for (const Dimension& size : graph.values[each.value.index].sizes) sizes.push_back(std::get<std::int64_t>(size));
      state.push_back(at::rand(sizes, at::kDouble) + 0.1);
      by_state_name[each.names.at(0)] = state.back();
    }
    const WrittenFunction written = TensorflowWriter::write(graph, Graph{});
    std::map<std::string, at::Tensor> variables;
    for (std::size_t i = 0; i < written.variable_axes.size(); ++i) {
      const TensorflowVariable& variable = written.function.variables[i];
      variables[variable.argument] = by_state_name.at(variable.names[0]).permute(written.variable_axes[i]);
    }
    const auto expected = PrimitiveInterpreter(graph, state).run(inputs);
    const auto found = TensorflowInterpreter(written.function, variables).run(by_name);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const at::Tensor& output = found.at(written.output_places.at(i));
      EXPECT_EQ(output.sizes(), expected[i].sizes());
      EXPECT_TRUE(at::allclose(output, expected[i], 1e-12, 1e-12));
    }
    return written.function;
  }

 private:
  PrimitiveBuilder builder_;
};

p::Window window(Ints size, Ints stride, Ints padding) {
  const Ints ones(size.size(), 1);
  return {std::move(size), std::move(stride), padding, padding, ones};
}

Term convolution(const Term& x, const Term& weight, std::int64_t groups = 1) {
  return perform(p::Convolution{window({3, 3}, {1, 1}, {1, 1}), groups}, {x, weight});
}

TEST(TensorflowWriter, ABlockOfConvnextIsTransposedAtItsEndsOnly) {
  Writing w;
  const Term x = w.input("x", {"n", 4, "h", "w"});
  Term y = transpose(convolution(x, w.state("conv", {6, 4, 3, 3})), {0, 2, 3, 1});
  y = perform(p::LayerNorm{1, 1e-5}, {y, w.state("scale", {6}), w.state("offset", {6})});
  y = perform(p::Gelu{}, {perform(p::Linear{}, {y, w.state("up", {8, 6}), w.state("bias", {8})})});
  y = transpose(perform(p::Linear{}, {y, w.state("down", {4, 8})}), {0, 3, 1, 2});
  y = y * w.state("layer_scale", {4, 1, 1}) + x;
  const TensorflowFunction function = w.expect_same({y}, {{2, 4, 5, 3}});
  EXPECT_EQ(count(function, "Transpose"), 2);
  EXPECT_EQ(count(function, "Reshape"), 5);  // of layer_scale, and two at each linear layer
}

TEST(TensorflowWriter, OperandsMeetInTheOrderThatCostsLess) {
  Writing w;
  const Term x = w.input("x", {"n", 4, 5, 5});
  const Term row_major = w.input("y", {"n", 4, 5, 5});
  const Term image = convolution(x, w.state("conv", {4, 4, 3, 3}));
  const Term mean = reduce(p::Reduce::Kind::kMean, image, {2, 3}, true);  // one pixel: no matter which order
  const Term joined = concatenate({image, row_major * mean, image}, 1);
  const TensorflowFunction function =
      w.expect_same({reduce(p::Reduce::Kind::kMean, joined, {2, 3}, false), joined}, {{2, 4, 5, 5}, {2, 4, 5, 5}});
  EXPECT_EQ(count(function, "Transpose"), 3);  // x, row_major · mean, and the second output
}

TEST(TensorflowWriter, AMeanOverPixelsNeedsNoTransposeAndFlatteningThemDoes) {
  for (const bool flatten : {false, true}) {
    Writing w;
    const Term image = convolution(w.input("x", {"n", 4, 5, 5}), w.state("conv", {6, 4, 3, 3}));
    const Term rows = flatten ? reshape(image, {-1, 150}) : reduce(p::Reduce::Kind::kMean, image, {2, 3}, false);
    const Term y = perform(p::Linear{}, {rows, w.state("fc", {3, flatten ? 150 : 6})});
    EXPECT_EQ(count(w.expect_same({y}, {{2, 4, 5, 5}}), "Transpose"), flatten ? 2 : 1);
  }
}

TEST(TensorflowWriter, PatchesBecomeTokensWithoutATranspose) {
  Writing w;
  const Term x = w.input("x", {"n", 3, 8, 8});
  const Term patches = perform(p::Convolution{window({4, 4}, {4, 4}, {0, 0})}, {x, w.state("conv", {6, 3, 4, 4})});
  const Term tokens = transpose(reshape(patches, {patches.size(0), 6, 4}), {0, 2, 1});
  EXPECT_EQ(count(w.expect_same({tokens}, {{2, 3, 8, 8}}), "Transpose"), 1);
}

TEST(TensorflowWriter, ShuffledChannelsAreTransposedAmongThemselves) {
  Writing w;
  const Term x = w.input("x", {"n", 6, 4, 4});
  const Term image = convolution(x, w.state("conv", {6, 3, 3, 3}), 2);
  const Term parts = transpose(reshape(image, {image.size(0), 2, 3, 4, 4}), {0, 2, 1, 3, 4});
  const Term y = convolution(reshape(parts, {parts.size(0), 6, 4, 4}), w.state("next", {6, 6, 3, 3}));
  EXPECT_EQ(count(w.expect_same({y}, {{2, 6, 4, 4}}), "Transpose"), 3);
}

TEST(TensorflowWriter, WeightsAreStoredAsTheyAreReadFirst) {
  Writing w;
  const Term x = w.input("x", {"n", 5});
  const Term weight = w.state("weight", {5, 4});
  const Term y = product(x, weight);                        // as GPT-2 has it
  const Term back = product(y, transpose(weight, {1, 0}));  // adj_y, no Transpose
  const TensorflowFunction function = w.expect_same({y, back}, {{3, 5}});
  EXPECT_EQ(count(function, "Transpose"), 0);
  EXPECT_EQ(function.variables.at(0).sizes, (Ints{5, 4}));
}

TEST(TensorflowWriter, SizesAreComputedOnceAndOnlyWhereTheyAreNotKnown) {
  Writing w;
  const Term x = w.input("x", {"n", "t", 6});
  const Term heads = transpose(reshape(x, {x.size(0), x.size(1), 2, 3}), {0, 2, 1, 3});
  const Term scores = softmax(product(heads, heads, true), 3);
  const Term mixed = transpose(product(scores, heads), {0, 2, 1, 3});
  const Term y = reshape(mixed, {x.size(0), x.size(1), 6});
  const TensorflowFunction function = w.expect_same({y}, {{2, 7, 6}});
  EXPECT_EQ(count(function, "Shape"), 1);
  EXPECT_EQ(count(function, "Pack"), 2);
}

TEST(TensorflowWriter, LayersOfOneInputShareItsRows) {
  for (const Dimension& width : {Dimension(std::int64_t{6}), Dimension(std::int64_t{0})}) {
    Writing w;
    const Term x = w.input("x", {"n", "t", width});
    const Term q = perform(p::Linear{}, {x, w.state("q", {4, width}), w.state("bias", {4})});
    const Term k = perform(p::Linear{}, {x, w.state("k", {4, width})});
    const bool empty = width == Dimension(std::int64_t{0});
    const TensorflowFunction function = w.expect_same({q, k}, {{2, 3, empty ? 0 : 6}});
    EXPECT_EQ(count(function, "Reshape"), empty ? 0 : 3);
    EXPECT_EQ(count(function, "MatMul"), empty ? 0 : 2);
  }
}

// Spelled as 1 + x they would lose to TensorFlow's optimizer what makes them exact near 0.
TEST(TensorflowWriter, LogarithmsAndPowersNear1AreOperators) {
  using Function = p::Unary::Kind;
  Writing w;
  const Term x = unary(Function::kAbsolute, w.input("x", {"n", 2}));
  const TensorflowFunction function =
      w.expect_same({unary(Function::kLog1p, x), unary(Function::kExpm1, x * 1e-12)}, {{3, 2}});
  EXPECT_EQ(count(function, "Log1p"), 1);
  EXPECT_EQ(count(function, "Expm1"), 1);
  EXPECT_EQ(count(function, "Sub") + count(function, "AddV2"), 0);
}

TEST(TensorflowWriter, AnInputIsReturnedThroughAnOperator) {
  Writing w;
  const Term x = w.input("x", {"n", 2});
  EXPECT_EQ(count(w.expect_same({x, transpose(x, {1, 0})}, {{3, 2}}), "Identity"), 1);
}

void expect_case(const PrimitiveCase& each, at::ScalarType type) {
  const Program program = each.program.to(type);
  std::vector<std::vector<at::Tensor>> batches = each.batches;
  for (std::vector<at::Tensor>& batch : batches) {
    for (at::Tensor& tensor : batch) tensor = tensor.scalar_type() == at::kFloat ? tensor.to(type) : tensor;
  }
  const double tolerance = type == at::kDouble ? 1e-9 : 1e-4;
  const std::vector<Probe> probes = make_probes(program, batches);
  const PrimitiveGraph graph = primitives_of(program);
  const std::vector<at::Tensor> state = primitive_state(graph, program);
  std::map<std::string, at::Tensor> by_name;
  for (std::size_t i = 0; i < state.size(); ++i) by_name[graph.state[i].names.at(0)] = state[i];
  const WrittenFunction written = TensorflowWriter::write(graph, program.graph());
  std::map<std::string, at::Tensor> variables;
  for (std::size_t i = 0; i < written.variable_axes.size(); ++i) {
    const TensorflowVariable& variable = written.function.variables[i];
    variables[variable.argument] = by_name.at(variable.names[0]).permute(written.variable_axes[i]);
  }
  const TensorflowInterpreter interpreter(written.function, variables);
  for (const Probe& probe : probes) {
    std::map<std::string, at::Tensor> inputs;
    for (std::size_t i = 0; i < probe.inputs.size(); ++i) inputs[graph.inputs.at(i).name] = probe.inputs[i];
    const std::vector<at::Tensor> found = interpreter.run(inputs);
    for (std::size_t i = 0; i < probe.outputs.size(); ++i) {
      const at::Tensor& output = found.at(written.output_places.at(i));
      // What PyTorch makes of integers in its default type, float32, the program in float64 says is of float64.
      const bool single = type == at::kDouble && probe.outputs[i].scalar_type() == at::kFloat;
      const at::Tensor expected = single ? probe.outputs[i].to(at::kDouble) : probe.outputs[i];
      const double most = single ? 1e-6 : tolerance;
      ASSERT_EQ(output.scalar_type(), expected.scalar_type());
      ASSERT_EQ(output.sizes(), expected.sizes());
      EXPECT_TRUE(at::allclose(output, expected, most, most, true)) << output << expected;
    }
  }
}

void expect_case_in_both_precisions(const PrimitiveCase& each) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    SCOPED_TRACE(each.name + (type == at::kDouble ? " (float64)" : " (float32)"));
    try {
      expect_case(each, type);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(TensorflowWriter, WritesEveryCase) {
  for (const PrimitiveCase& each : primitive_cases()) expect_case_in_both_precisions(each);
}

// TensorFlow has an operator for an LSTM of float32 that takes any length. Every other recurrent layer is unrolled.
TEST(TensorflowWriter, RefusesRecurrentLayersOfOpenLengthThatItHasNoOperatorFor) {
  int refused = 0;
  for (const PrimitiveCase& each : primitive_cases_beyond_tensorflow()) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      SCOPED_TRACE(each.name + " of " + c10::toString(type));
      const bool recurrent = each.name.find("open length") != std::string::npos;
      if (!recurrent || (each.name.starts_with("lstm") && type == at::kFloat)) {
        expect_case(each, type);
        continue;
      }
      EXPECT_ERROR(expect_case(each, type), InputError, each.name.starts_with("lstm") ? "lstm.input" : "gru.input",
                   "TensorFlow SavedModel", "how many times it has is only known at run time");
      ++refused;
    }
  }
  EXPECT_EQ(refused, 3);
}

TEST(TensorflowWriter, WritesRandomPrograms) {
  const std::uint64_t programs = soaking() ? 10000 : 200;
  for (std::uint64_t seed = 0; seed < programs; ++seed) expect_case_in_both_precisions(random_primitive_case(seed));
}

TEST(PlanReshape, KeepsTheOrderThatItCan) {
  struct Case {
    Ints axes;
    Sizes from;
    Sizes to;
    Ints before;
    Ints after;
  };
  const std::vector<Case> cases = {
      {{0, 2, 3, 1}, {"n", 8, 4, 4}, {"n", 8, 16}, {0, 2, 3, 1}, {0, 2, 1}},                     // patches to tokens
      {{0, 2, 3, 1}, {"n", 8, 4, 4}, {"n", 128}, {0, 1, 2, 3}, {0, 1}},                          // flatten
      {{0, 2, 3, 1}, {"n", 8, 1, 1}, {"n", 8}, {0, 1, 2, 3}, {0, 1}},                            // one pixel
      {{0, 2, 3, 1}, {"n", 8, "h", "w"}, {"n", 2, 4, "h", "w"}, {0, 2, 3, 1}, {0, 3, 4, 1, 2}},  // groups
      {{0, 3, 4, 2, 1}, {"n", 4, 2, 5, 5}, {"n", 8, 5, 5}, {0, 3, 4, 1, 2}, {0, 2, 3, 1}},       // shuffled
      {{0, 2, 1}, {"n", "t", 6}, {"n·t", 6}, {0, 1, 2}, {0, 1}},                                 // not known which
      {{0, 1}, {0, 5}, {0, 7}, {0, 1}, {0, 1}},                                                  // no elements
      {{1, 0}, {2, 3}, {3, 2}, {0, 1}, {0, 1}},
      {{}, {}, {1, 1}, {}, {0, 1}},
  };
  for (const Case& each : cases) {
    const ReshapePlan plan = plan_reshape(each.axes, each.from, each.to);
    EXPECT_EQ(plan.before, each.before);
    EXPECT_EQ(plan.after, each.after);
  }
}

Graph program_of(const std::string& op) {
  Graph program;
  program.nodes.resize(1);
  program.nodes[0].target = "torch.ops.aten." + op;
  program.nodes[0].metadata["stack_trace"] = "  File \"net.py\", line 12, in forward\n    x = f(x, y)\n";
  return program;
}

TEST(TensorflowWriter, NamesWhatItRefuses) {
  PrimitiveBuilder builder;
  const Term x(builder, builder.input("x", {ElementType::kDouble, {"n", 2, 1, 2, 1, 2}}));
  const Term y(builder, builder.input("y", {ElementType::kDouble, {2, 1, 2, 1, 2, 1}}));
  builder.output("z", (x + y).id());
  EXPECT_ERROR(TensorflowWriter::write(std::move(builder).finish(), program_of("add.Tensor")), InputError,
               "torch.ops.aten.add.Tensor", "net.py", "line 12", "TensorFlow SavedModel", "does not broadcast");
}

TEST(TensorflowWriter, RefusesTypesThatNoKernelHoldsExactly) {
  PrimitiveBuilder builder;
  const Term x(builder, builder.input("x", {ElementType::kInt64, {"n", 2, 4, 4}}));
  const Term w(builder, builder.input("w", {ElementType::kInt64, {3, 2, 1, 1}}));
  builder.output("y", perform(p::Convolution{{{1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}}}, {x, w}).id());
  EXPECT_ERROR(TensorflowWriter::write(std::move(builder).finish(), program_of("conv2d.default")), InputError,
               "torch.ops.aten.conv2d.default", "net.py", "line 12", "TensorFlow has no Conv2D of int64");
}

TEST(TensorflowWriter, ComputesInTheNearestTypeThatHasAKernel) {
  for (const ElementType type : {ElementType::kUint8, ElementType::kInt16, ElementType::kUint16, ElementType::kBool}) {
    PrimitiveBuilder builder;
    const Term x(builder, builder.input("x", {type, {"n", 2}}));
    builder.output("y", maximum(x, x).id());
    if (type != ElementType::kBool) builder.output("z", (-x).id());
    const TensorflowFunction function = TensorflowWriter::write(std::move(builder).finish(), Graph()).function;
    const bool negated = type == ElementType::kUint8 || type == ElementType::kUint16;
    EXPECT_EQ(count(function, "Cast"), type == ElementType::kBool ? 3 : negated ? 2 : 0) << to_string(type);
  }
}

}  // namespace
}  // namespace lockstep
