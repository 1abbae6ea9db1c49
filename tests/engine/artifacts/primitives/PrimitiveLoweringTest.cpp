#include "engine/artifacts/primitives/PrimitiveLowering.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <set>

#include "common/Error.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/primitives/PrimitiveDecompositions.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveRows.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PrimitiveCases.h"
#include "tests/support/Soak.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

constexpr double kTolerance = 1e-9;
constexpr double kSingle = 1e-6;

// Whether the graph computes what libtorch does, in float64.
void expect_same(const PrimitiveGraph& graph, const Program& program, const std::vector<Probe>& probes) {
  const PrimitiveInterpreter interpreter(graph, primitive_state(graph, program));
  for (const Probe& probe : probes) {
    const std::vector<at::Tensor> outputs = interpreter.run(probe.inputs);
    ASSERT_EQ(outputs.size(), probe.outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      // What PyTorch makes of integers in its default type, float32, the program in float64 says is of float64.
      const bool single = probe.outputs[i].scalar_type() == at::kFloat;
      const at::Tensor expected = single ? probe.outputs[i].to(at::kDouble) : probe.outputs[i];
      const double tolerance = single ? kSingle : kTolerance;
      ASSERT_EQ(outputs[i].scalar_type(), expected.scalar_type());
      ASSERT_EQ(outputs[i].sizes(), probe.outputs[i].sizes());
      EXPECT_TRUE(at::allclose(outputs[i], expected, tolerance, tolerance, /*equal_nan=*/true)) << outputs[i] << "\n"
                                                                                                << expected;
    }
  }
}

void expect_same(const PrimitiveCase& single) {
  SCOPED_TRACE(single.name);
  const auto [name, program, batches] = in_double_precision(single);
  const std::vector<Probe> probes = make_probes(program, batches);
  try {
    const PrimitiveGraph graph = lower_to_primitives(program.graph());
    expect_same(graph, program, probes);
    expect_same(simplified(graph), program, probes);
    expect_same(decompose(graph, [](const PrimitiveNode&) { return true; }), program, probes);
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
}

TEST(PrimitiveLowering, ComputesWhatLibtorchComputes) {
  std::set<std::string> names;
  for (const PrimitiveCase& each : all_primitive_cases()) {
    EXPECT_TRUE(names.insert(each.name).second) << "two cases are called " << each.name;
    expect_same(each);
  }
}

TEST(PrimitiveLowering, EveryRowHasACase) {
  std::set<const PrimitiveRow*> met;
  for (const PrimitiveCase& each : all_primitive_cases()) {
    for (const Node& node : each.program.graph().nodes) met.insert(find_primitive_row(node));
  }
  for (const auto& [name, row] : primitive_rows()) {
    EXPECT_TRUE(met.contains(&row)) << name << " has no case: add one to the table in tests/support";
  }
}

TEST(PrimitiveLowering, ComputesRandomPrograms) {
  const std::uint64_t programs = soaking() ? 20000 : 300;
  for (std::uint64_t seed = 0; seed < programs; ++seed) expect_same(random_primitive_case(seed));
}

}  // namespace
}  // namespace lockstep
