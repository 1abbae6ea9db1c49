// The values of a program, numbered.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

namespace lockstep {

/// Gives each value of a graph a slot, in the order in which they are defined.
class ValueSlots {
 public:
  /// The slot of a new value. A list may hold tensors without a name (""), which nothing can read. Throws InputError
  /// for a name that is defined already.
  std::size_t define(const std::string& value);
  /// Throws InputError for a value that nothing has defined.
  std::size_t find(const std::string& value) const;

  const std::string& name(std::size_t slot) const { return names_[slot]; }
  std::size_t size() const { return names_.size(); }

 private:
  std::unordered_map<std::string, std::size_t> slots_;
  std::vector<std::string> names_;
};

}  // namespace lockstep
