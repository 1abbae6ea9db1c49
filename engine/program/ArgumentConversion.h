// From the arguments of a graph's nodes to those of PyTorch's dispatcher.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <c10/core/Device.h>
#include <c10/core/Scalar.h>

#include <vector>

#include "engine/program/Instruction.h"
#include "engine/program/ValueSlots.h"

namespace lockstep {

/// A number as PyTorch's operators take Python's numbers where they want a tensor.
at::Tensor wrapped_number(const c10::Scalar& value);

/// Converts arguments to what a schema wants: `slots` has the values that are defined so far, and what a graph makes
/// anew is made on `device`, for the device of the example inputs says nothing about where this rank computes. Keeps a
/// reference to the slots.
class ArgumentConversion {
 public:
  ArgumentConversion(const ValueSlots& slots, c10::Device device) : slots_(slots), device_(device) {}

  /// Throws InputError for an argument that the schema does not take.
  ArgumentSource convert(const Argument& argument, const c10::Argument& schema) const;
  /// An operand of arithmetic on sizes, which has no schema and wants integers.
  ArgumentSource convert_size(const Argument& argument) const;
  /// All arguments of a call, in the schema's order, those left to their defaults too. Throws InputError when one is
  /// missing or the schema has no such argument.
  std::vector<ArgumentSource> convert_all(const Node& node, const c10::FunctionSchema& schema) const;

 private:
  const ValueSlots& slots_;
  c10::Device device_;
};

}  // namespace lockstep
