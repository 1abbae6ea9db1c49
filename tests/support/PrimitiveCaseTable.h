// How the table of primitive cases is made: cases of one operator, and tensors for them.
#pragma once

#include <ATen/core/Generator.h>

#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/PrimitiveCases.h"

namespace lockstep {

class PrimitiveCaseTable {
 public:
  /// Draws tensors, always the same ones.
  class Draws {
   public:
    at::Tensor real(const std::vector<std::int64_t>& sizes);
    at::Tensor positive(const std::vector<std::int64_t>& sizes);  ///< 0.1 or more
    at::Tensor integers(std::int64_t from, std::int64_t below, const std::vector<std::int64_t>& sizes);
    at::Tensor truths(const std::vector<std::int64_t>& sizes);

   private:
    at::Generator generator_ = made_generator();
    static at::Generator made_generator();
  };

  /// A tensor by the name of an argument.
  struct Given {
    std::string name;
    std::vector<at::Tensor> batches;
    bool state = false;
  };

  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kInf = std::numeric_limits<double>::infinity();

  static at::Tensor reals(const std::vector<double>& values);  ///< of float32

  /// A case of one operator: `given` are its tensors, `rest` its other arguments. It has `results`, of which the first
  /// `returned` are compared; 0: all.
  void add(const std::string& name, const std::string& op, const std::vector<Given>& given,
           const std::vector<NamedArgument>& rest = {}, std::size_t results = 1, std::size_t returned = 0);
  void add(const PrimitiveCase& each) { cases.push_back(each); }

  struct Call {
    std::string op;
    std::vector<NamedArgument> arguments;  ///< also tensors, by what they are called in `given`
    std::size_t results = 1;
    std::size_t returned = 0;  ///< as above
  };
  /// A case of several operators of the same tensors, one after the other: it costs a reader what one of them costs.
  void add_all(const std::string& name, const std::vector<Given>& given, const std::vector<Call>& calls);

  Draws draw;
  std::vector<PrimitiveCase> cases;
};

/// Operators by the other names and overloads that the lowering has rows for.
void add_other_names(PrimitiveCaseTable& table);
/// Tensors without elements, numbers that are not finite, and small results of large parts.
void add_edges(PrimitiveCaseTable& table);
void add_beyond_tensorflow(PrimitiveCaseTable& table);

}  // namespace lockstep
