// Tensors made of numbers, as PyTorch's documentation (torch) has them; numbers in a row as in
// ATen/native/cpu/RangeFactoriesKernel.cpp.
#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

// Sizes are those of the argument `size`, or of the tensor `self`.
Integers new_sizes(NodeArguments& arguments) {
  return arguments.node().find("size") ? arguments.integers("size") : arguments.tensor("self").all_sizes();
}

Term full_of(NodeArguments& arguments, const Operand& value) {
  arguments.ignore({"dtype", "self"});
  return broadcast(as_tensor(arguments.builder(), value, arguments.output_type()), new_sizes(arguments));
}

Term zeros(NodeArguments& arguments) { return full_of(arguments, {Number(std::int64_t{0}), true}); }
Term ones(NodeArguments& arguments) { return full_of(arguments, {Number(std::int64_t{1}), true}); }
Term full(NodeArguments& arguments) { return full_of(arguments, arguments.operand("fill_value")); }

Term filled_with(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return broadcast(arguments.operand("value", x.type()), x.all_sizes());
}

Term copied(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return broadcast(cast(arguments.tensor("src"), x.type()), x.all_sizes());
}

// start + i · step, in double precision; with an end that is among them, its half of them is counted from there.
Term evenly(NodeArguments& arguments, double start, double step, double count, std::optional<double> end = {}) {
  if (!(count >= 0) || count > static_cast<double>(kMostWrittenNumbers)) arguments.refuse("it makes too many numbers");
  std::vector<double> values;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(count); ++i) {
    const double from_end = count - 1 - static_cast<double>(i);
    values.push_back(end && static_cast<double>(i) >= std::floor(count / 2) ? *end - from_end * step
                                                                            : start + static_cast<double>(i) * step);
  }
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  PrimitiveBuilder& builder = arguments.builder();
  const Term numbers(builder, builder.constant({ElementType::kDouble, {std::ssize(values)}, std::move(bytes)}));
  return cast(numbers, arguments.output_type());
}

bool is_real_number(NodeArguments& arguments, const char* name) {
  const Argument* given = arguments.node().find(name);
  return given && std::holds_alternative<double>(*given);
}

Term arange(NodeArguments& arguments) {
  arguments.ignore({"dtype"});
  if (is_real_number(arguments, "start") || is_real_number(arguments, "end") || is_real_number(arguments, "step")) {
    const double start = arguments.real("start", 0);
    const double step = arguments.real("step", 1);
    return evenly(arguments, start, step, std::ceil((arguments.real("end", 0) - start) / step));
  }
  const std::int64_t step = arguments.known("step", 1);
  if (step == 0) arguments.refuse("its step is 0");
  const Integer start = arguments.integer("start", std::int64_t{0});
  return cast(range(arguments.builder(), start, arguments.integer("end", std::int64_t{0}), step),
              arguments.output_type());
}

Term linspace(NodeArguments& arguments) {
  arguments.ignore({"dtype"});
  const double start = arguments.real("start", 0);
  const auto steps = static_cast<double>(arguments.known("steps", 100));
  const double end = arguments.real("end", 0);
  if (steps < 2) return evenly(arguments, start, 0, steps);
  return evenly(arguments, start, (end - start) / (steps - 1), steps, end);
}

// Places of a triangle's elements: their rows, and their columns. [2, elements]
Term triangle_places(NodeArguments& arguments, bool lower) {
  arguments.ignore({"dtype"});
  const std::int64_t offset = arguments.known("offset", 0);
  const std::int64_t height = arguments.known("row", 0);
  const std::int64_t width = arguments.known("col", 0);
  if (height < 0 || width < 0 || height > kMostWrittenNumbers / std::max<std::int64_t>(width, 1))
    arguments.refuse("it is too large");
  Ints rows;
  Ints columns;
  for (std::int64_t i = 0; i < height; ++i) {
    for (std::int64_t j = 0; j < width; ++j) {
      if (lower ? j - i > offset : j - i < offset) continue;
      rows.push_back(i);
      columns.push_back(j);
    }
  }
  const std::int64_t count = std::ssize(rows);
  rows.insert(rows.end(), columns.begin(), columns.end());
  return cast(reshape(vector_of(arguments.builder(), rows), {std::int64_t{2}, count}), arguments.output_type());
}

Term eye(NodeArguments& arguments) {
  arguments.ignore({"dtype"});
  PrimitiveBuilder& builder = arguments.builder();
  const Integer rows = arguments.integer("n", std::int64_t{0});
  const Integer columns = arguments.integer("m", rows);
  const Term same = equal(unsqueeze(range(builder, std::int64_t{0}, rows), 1),
                          unsqueeze(range(builder, std::int64_t{0}, columns), 0));
  return cast(same, arguments.output_type());
}

Term scalar_tensor(NodeArguments& arguments) {
  arguments.ignore({"dtype"});
  return arguments.operand("s", arguments.output_type());
}

}  // namespace

PrimitiveRows creation_rows() {
  return {
      {"arange", arange},
      {"copy", copied},
      {"empty", zeros},  // what it holds, nobody may read
      {"empty_like", zeros},
      {"eye", eye},
      {"fill", filled_with},
      {"full", full},
      {"full_like", full},
      {"linspace", linspace},
      {"new_empty", zeros},
      {"new_full", full},
      {"new_ones", ones},
      {"new_zeros", zeros},
      {"ones", ones},
      {"ones_like", ones},
      {"scalar_tensor", scalar_tensor},
      {"tril_indices", [](NodeArguments& arguments) { return triangle_places(arguments, true); }},
      {"triu_indices", [](NodeArguments& arguments) { return triangle_places(arguments, false); }},
      {"zero", zeros},
      {"zeros", zeros},
      {"zeros_like", zeros},
  };
}

}  // namespace lockstep
