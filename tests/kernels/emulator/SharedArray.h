// Shared memory that knows who touched it when.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/kernels/emulator/Emulator.h"

namespace lockstep::emulator {

/// Accesses to one place that later ones must be ordered with.
class Accesses {
 public:
  void clear() { moments_.clear(); }
  /// One that is not past, or nullptr.
  const Moment* concurrent() const {
    const auto found = std::find_if(moments_.begin(), moments_.end(), [](const Moment& m) { return !is_past(m); });
    return found == moments_.end() ? nullptr : &*found;
  }
  void add(const Moment& moment) {
    if (!moments_.empty() && moments_.front().block_barriers != moment.block_barriers) moments_.clear();
    // With those of two warps, any other access between the same barriers meets one that it is not ordered with.
    if (!moments_.empty() && moments_.front().thread / 32 != moments_.back().thread / 32) return;
    for (Moment& earlier : moments_) {
      if (earlier.thread != moment.thread) continue;
      earlier = moment;  // what comes after this one comes after the earlier one
      return;
    }
    moments_.push_back(moment);
  }

 private:
  std::vector<Moment> moments_;
};

/// One array in shared memory; see Emulator.h for what it reports. Every block finds it unwritten. Elements are reached
/// by operator[] and atomics only.
template <typename Element>
class SharedArray {
  static_assert(std::is_trivially_copyable_v<Element>);

 public:
  /// An index, and where in the source it is used.
  struct Index {
    template <typename Integer>
    Index(Integer index, std::source_location at = std::source_location::current())  // NOLINT: converts
        : value(static_cast<std::int64_t>(index)), where(at) {}
    std::int64_t value;
    std::source_location where;
  };

  class Reference {
   public:
    Reference(SharedArray& array, const Index& index) : array_(&array), index_(index) {}
    operator Element() const { return array_->read(index_); }  // NOLINT: converts
    const Reference& operator=(Element value) const {
      array_->write(index_, value);
      return *this;
    }
    const Reference& operator=(const Reference& other) const { return *this = static_cast<Element>(other); }
    Reference(const Reference&) = default;
    const Reference& operator+=(Element value) const { return *this = static_cast<Element>(*this) + value; }
    const Reference& operator-=(Element value) const { return *this = static_cast<Element>(*this) - value; }
    const Reference& operator*=(Element value) const { return *this = static_cast<Element>(*this) * value; }
    Reference operator&() const { return *this; }  // what atomics take
    template <typename Change>
    Element atomically(const Change& change) const {
      return array_->change_atomically(index_, change);
    }

   private:
    SharedArray* array_;
    Index index_;
  };

  SharedArray(const char* name, std::int64_t count) : name_(name), cells_(static_cast<std::size_t>(count)) {}
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;
  Reference operator[](Index index) { return Reference(*this, index); }

 private:
  struct Cell {
    std::uint64_t block = 0;  // whose value it is
    Element value{};
    Accesses writes, atomics, reads;  // the last write, the atomics and reads since
  };

  std::string text(const Index& index) const { return name_ + ("[" + std::to_string(index.value) + "]"); }

  // Of the running block; `written` says whether it must have been.
  Cell& cell(const Index& index, bool written) {
    if (index.value < 0 || index.value >= static_cast<std::int64_t>(cells_.size())) {
      fault("shared memory " + text(index) + " of " + std::to_string(cells_.size()) + " elements", index.where);
    }
    Cell& cell = cells_[static_cast<std::size_t>(index.value)];
    if (cell.block != block_serial()) {
      if (written) fault("read of unwritten shared memory " + text(index), index.where);
      cell = Cell{};
      cell.block = block_serial();
    }
    return cell;
  }

  void expect_ordered(const Accesses& earlier, const char* what, const Index& index) const {
    if (const Moment* other = earlier.concurrent()) {
      fault("race on shared memory " + text(index) + ": " + what + " thread " + std::to_string(other->thread) +
                ", and no barrier between",
            index.where);
    }
  }

  Element read(const Index& index) {
    Cell& cell = this->cell(index, true);
    expect_ordered(cell.writes, "reads what was written by", index);
    expect_ordered(cell.atomics, "reads what was changed by", index);
    cell.reads.add(now());
    return cell.value;
  }

  void write(const Index& index, Element value) {
    Cell& cell = this->cell(index, false);
    expect_ordered(cell.writes, "writes what was written by", index);
    expect_ordered(cell.atomics, "writes what was changed by", index);
    expect_ordered(cell.reads, "writes what was read by", index);
    cell.value = value;
    cell.writes.clear();
    cell.writes.add(now());
    cell.atomics.clear();
    cell.reads.clear();
  }

  template <typename Change>
  Element change_atomically(const Index& index, const Change& change) {
    Cell& cell = this->cell(index, true);
    expect_ordered(cell.writes, "changes what was written by", index);
    expect_ordered(cell.reads, "changes what was read by", index);
    cell.atomics.add(now());
    const Element before = cell.value;
    cell.value = change(before);
    return before;
  }

  const char* name_;
  std::vector<Cell> cells_;
};

}  // namespace lockstep::emulator
