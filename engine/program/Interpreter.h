// Runs the instructions of a program, one at a time.
#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <vector>

#include "engine/program/BatchNormalizer.h"
#include "engine/program/ExecutionPlan.h"
#include "engine/program/SizeCheck.h"

namespace lockstep {

/// By slot.
using Values = std::vector<c10::IValue>;

/// A program's instructions, and how to run one of them. Holds no values but the program's state.
class Interpreter {
 public:
  /// As Executor's.
  Interpreter(const Program& program, bool trains, BatchNormalizer* normalizer)
      : plan_(program), trains_(trains), normalizer_(normalizer) {}

  const ExecutionPlan& plan() const { return plan_; }
  /// Values of which those of the state are there.
  Values values() const;
  /// Calls the operator over `values`, boxed through PyTorch's dispatcher, and puts there what it returns. Throws what
  /// Executor::run throws.
  /// `found`: for a batch norm that the normalizer computes, takes what `repeat` needs; null: nothing will.
  void execute(const Instruction& instruction, Values& values, SizeCheck* check = nullptr,
               BatchNormStatistics* found = nullptr) const;
  /// The same once more: running statistics stay as they are, and ranks do nothing together.
  void repeat(const Instruction& instruction, Values& values, const BatchNormStatistics& found) const;
  bool normalizes(const Instruction& instruction) const;
  /// Calls the normalizer, with an input that has no samples, for a batch norm.
  void normalize_nothing(const Instruction& instruction, const Values& values) const;

 private:
  /// Computes what the stack's arguments give.
  using Call = std::function<void(std::vector<c10::IValue>& stack)>;

  void run(const Instruction& instruction, Values& values, SizeCheck* check, const Call& call) const;
  bool records(const Instruction& instruction) const;
  void call(const Instruction& instruction, std::vector<c10::IValue>& stack, SizeCheck* check) const;
  void require_statistics(const Instruction& instruction, const std::vector<c10::IValue>& stack) const;
  void check_arguments(const Instruction& instruction, const std::vector<c10::IValue>& stack, SizeCheck& check) const;

  ExecutionPlan plan_;
  bool trains_;
  BatchNormalizer* normalizer_;
};

}  // namespace lockstep
