// Runs a program.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/program/BatchStatistics.h"
#include "engine/program/Operators.h"
#include "engine/program/Program.h"
#include "engine/program/SizeCheck.h"

namespace lockstep {

/// A program prepared for running: every operator resolved, every argument converted, every value given a slot.
///
/// Holds no tensors but the program's own (it sees changes made to them in place). `run` calls each node's operator
/// boxed through PyTorch's dispatcher, so autograd records it unless the caller turned gradients off, and drops every
/// value after its last use. Not thread-safe: one run at a time.
class Executor {
 public:
  /// Throws InputError naming the operator and the user's source line for one that PyTorch's dispatcher does not have
  /// or that takes arguments we cannot pass. `trains`: backward will run from the outputs.
  explicit Executor(const Program& program, bool trains = false);

  /// Inputs in the order of the program's user inputs; returns its outputs. Throws InputError, naming node and source
  /// line, when an operator refuses its arguments; SingleValueError, naming the layer too, when one takes
  /// statistics of a single number to train by them, or to update running statistics. With a check, of this program's
  /// graph, also for the first value that is not as the graph says.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, SizeCheck* check = nullptr);

 private:
  using Slot = std::size_t;
  /// An integer list of which some entries are known only at run time.
  struct IntList {
    std::vector<std::variant<std::int64_t, Slot>> entries;
  };
  struct TensorList {
    std::vector<std::optional<Slot>> slots;
    bool optional_entries = false;
  };
  /// A run-time integer where the operator wants a tensor.
  struct WrappedNumber {
    Slot slot;
  };
  using Source = std::variant<c10::IValue, Slot, IntList, TensorList, WrappedNumber>;
  enum class Arithmetic { kAdd, kSub, kMul, kFloorDiv, kMod, kNeg, kPow, kEq, kNe, kLt, kLe, kGt, kGe };

  struct Instruction {
    std::variant<c10::OperatorHandle, Arithmetic> operation;
    ArgumentGuard guard = nullptr;
    std::vector<Source> arguments;
    std::vector<std::vector<Slot>> outputs;  ///< one entry per returned value; a list is spread over its slots
    std::vector<bool> output_is_list;
    std::vector<Slot> last_uses;  ///< dropped when it has run
    std::optional<BatchStatistics> statistics;
    std::size_t node;
  };

  Slot slot_of(const std::string& value) const;
  Slot define(const std::string& value);
  Source source(const Argument& argument, const c10::Argument* schema) const;
  Instruction compile(const Node& node);
  void mark_last_uses();
  c10::IValue load(const Source& source) const;
  void store(const Instruction& instruction, std::vector<c10::IValue>& stack);
  void require_statistics(const Instruction& instruction, const std::vector<c10::IValue>& stack) const;
  void check_arguments(const Instruction& instruction, const std::vector<c10::IValue>& stack, SizeCheck& check) const;

  bool trains_;
  c10::Device device_;  ///< of the program's tensors: what the graph makes anew is made there
  std::unordered_map<std::string, Slot> slots_;
  std::vector<std::string> names_;  ///< of slots
  std::vector<c10::IValue> values_;
  std::vector<std::pair<Slot, at::Tensor>> state_;
  std::vector<Slot> inputs_;
  std::vector<Slot> outputs_;
  std::vector<Instruction> instructions_;
  std::vector<std::string> descriptions_;  ///< of nodes, for errors; with its layer where a node takes statistics
};

}  // namespace lockstep
