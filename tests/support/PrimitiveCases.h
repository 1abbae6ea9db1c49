// Small programs, one an operator or a way to use it, for whatever lowers or writes them: the lowering to primitives is
// judged by them against libtorch, and so should each artifact format be. All are float32 and in inference form.
//
//     for (const PrimitiveCase& each : primitive_cases()) {
//       const auto probes = make_probes(each.program, each.batches);  // what libtorch computes
//       EXPECT_EQ(difference(model of each.program in your format, probes), "") << each.name;
//     }
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/program/Program.h"
#include "tests/support/TestGraph.h"

namespace lockstep {

struct PrimitiveCase {
  std::string name;
  Program program;
  std::vector<std::vector<at::Tensor>> batches;  ///< inputs; sizes that differ between batches are open in the program
};

/// The table. Names are unique.
std::vector<PrimitiveCase> primitive_cases();

/// What TensorFlow does not compute: it has no operator for a GRU, or an LSTM of float64, whose length is open, and
/// with oneDNN it gives a convolution of no images other sizes.
std::vector<PrimitiveCase> primitive_cases_beyond_tensorflow();

/// Both.
std::vector<PrimitiveCase> all_primitive_cases();

/// The case in float64.
PrimitiveCase in_double_precision(const PrimitiveCase& single);

/// A program of operators drawn at random, the same for the same seed.
PrimitiveCase random_primitive_case(std::uint64_t seed);

/// Makes a case node by node. What values are of which types and sizes is found out by running it.
class PrimitiveCaseBuilder {
 public:
  explicit PrimitiveCaseBuilder(std::string name) : name_(std::move(name)) {}

  /// One tensor for each batch.
  PrimitiveCaseBuilder& input(const std::string& name, std::vector<at::Tensor> batches);
  PrimitiveCaseBuilder& state(const std::string& name, const at::Tensor& tensor);
  /// `op`: `relu.default`.
  PrimitiveCaseBuilder& call(const std::string& op, std::vector<NamedArgument> arguments,
                             const std::vector<std::string>& results);
  /// An operator that returns a list of tensors.
  PrimitiveCaseBuilder& call_list(const std::string& op, std::vector<NamedArgument> arguments,
                                  const std::vector<std::string>& results);
  /// The integer `result`: a size of a tensor.
  PrimitiveCaseBuilder& size(const std::string& tensor, std::int64_t dim, const std::string& result);
  /// The integer `result`: `_operator.mul` of two.
  PrimitiveCaseBuilder& arithmetic(const std::string& operation, const SymInt& a, const SymInt& b,
                                   const std::string& result);
  PrimitiveCase returns(const std::vector<std::string>& outputs) const;

 private:
  Graph graph(const std::vector<std::string>& outputs, const std::vector<std::pair<std::string, int>>& types,
              const std::vector<TestGraph::Sizes>& sizes) const;

  struct Given {
    std::string name;
    std::vector<at::Tensor> tensors;
    bool state = false;
  };
  std::string name_;
  std::vector<Given> given_;
  std::vector<Node> nodes_;
};

/// "self" as the name of a tensor in the graph, for the argument "self".
NamedArgument tensor_argument(const std::string& argument, const std::string& value);
NamedArgument tensors_argument(const std::string& argument, const std::vector<std::string>& values);
/// Integers of which some are names.
NamedArgument sizes_argument(const std::string& argument, const std::vector<SymInt>& values);

}  // namespace lockstep
