// A node of a graph, prepared for running.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/program/BatchStatistics.h"
#include "engine/program/Operators.h"
#include "engine/program/SizeOperator.h"

namespace lockstep {

/// The place of a value among all values of a program.
using Slot = std::size_t;

/// An integer list of which some entries are known only at run time.
struct IntListSource {
  std::vector<std::variant<std::int64_t, Slot>> entries;
};
struct TensorListSource {
  std::vector<std::optional<Slot>> slots;
  bool optional_entries = false;  ///< the operator wants a list of optional tensors
};
/// A run-time integer where the operator wants a tensor.
struct WrappedNumberSource {
  Slot slot;
};
/// Where an argument comes from: it is known already, or lies in slots.
using ArgumentSource = std::variant<c10::IValue, Slot, IntListSource, TensorListSource, WrappedNumberSource>;

struct Instruction {
  std::variant<const SizeOperator*, c10::OperatorHandle> operation;
  ArgumentGuard guard = nullptr;
  std::vector<ArgumentSource> arguments;
  std::vector<std::vector<Slot>> outputs;  ///< one entry per returned value; a list is spread over its slots
  std::vector<bool> output_is_list;
  std::vector<Slot> last_uses;  ///< whose values are dropped when it has run
  std::optional<BatchStatistics> statistics;
  /// Which arguments it writes into beside those that its name tells of: running statistics.
  std::vector<std::size_t> updated;
  bool in_place = false;    ///< Node::in_place
  bool random = false;      ///< OperatorTraits::random
  bool gradients = true;    ///< Node::gradients
  bool trained = true;      ///< what it returns depends on a parameter that is trained, on every rank alike
  bool autocast = true;     ///< Node::autocast
  std::string description;  ///< of the node, for errors; with its layer where the node takes statistics

  /// Calls `use` with each slot that the instruction reads.
  template <typename Use>
  void for_each_read(const Use& use) const {
    for (const ArgumentSource& argument : arguments) {
      if (const auto* slot = std::get_if<Slot>(&argument)) use(*slot);
      if (const auto* number = std::get_if<WrappedNumberSource>(&argument)) use(number->slot);
      if (const auto* list = std::get_if<IntListSource>(&argument)) {
        for (const auto& entry : list->entries) {
          if (const auto* slot = std::get_if<1>(&entry)) use(*slot);
        }
      }
      if (const auto* list = std::get_if<TensorListSource>(&argument)) {
        for (const auto& slot : list->slots) {
          if (slot) use(*slot);
        }
      }
    }
  }
};

}  // namespace lockstep
