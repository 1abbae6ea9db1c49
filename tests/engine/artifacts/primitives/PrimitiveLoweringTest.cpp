#include "engine/artifacts/primitives/PrimitiveLowering.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "common/Error.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/primitives/PrimitiveDecompositions.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PrimitiveCases.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

constexpr double kTolerance = 1e-9;

std::vector<std::vector<at::Tensor>> in_double(const std::vector<std::vector<at::Tensor>>& batches) {
  std::vector<std::vector<at::Tensor>> converted;
  for (const std::vector<at::Tensor>& batch : batches) {
    std::vector<at::Tensor>& inputs = converted.emplace_back();
    for (const at::Tensor& tensor : batch) {
      inputs.push_back(tensor.scalar_type() == at::kFloat ? tensor.to(at::kDouble) : tensor.clone());
    }
  }
  return converted;
}

// Whether the graph computes what libtorch does, in float64.
void expect_same(const PrimitiveGraph& graph, const Program& program, const std::vector<Probe>& probes) {
  const PrimitiveInterpreter interpreter(graph, primitive_state(graph, program));
  for (const Probe& probe : probes) {
    const std::vector<at::Tensor> outputs = interpreter.run(probe.inputs);
    ASSERT_EQ(outputs.size(), probe.outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      ASSERT_EQ(outputs[i].scalar_type(), probe.outputs[i].scalar_type());
      ASSERT_EQ(outputs[i].sizes(), probe.outputs[i].sizes());
      EXPECT_TRUE(at::allclose(outputs[i], probe.outputs[i], kTolerance, kTolerance, /*equal_nan=*/true))
          << outputs[i] << "\n"
          << probe.outputs[i];
    }
  }
}

TEST(PrimitiveLowering, ComputesWhatLibtorchComputes) {
  for (const PrimitiveCase& each : primitive_cases()) {
    SCOPED_TRACE(each.name);
    const Program program = each.program.to(at::kDouble);
    const std::vector<Probe> probes = make_probes(program, in_double(each.batches));
    try {
      const PrimitiveGraph graph = lower_to_primitives(program.graph());
      expect_same(graph, program, probes);
      expect_same(simplified(graph), program, probes);
      expect_same(decompose(graph, [](const PrimitiveNode&) { return true; }), program, probes);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

}  // namespace
}  // namespace lockstep
