// Shared memory that knows who touched it when.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/kernels/emulator/Emulator.h"

namespace lockstep::emulator {

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
  struct Access {
    unsigned thread = 0;
    Epoch epoch;
    bool atomic = false;
  };
  struct Cell {
    Element value{};
    bool written = false;
    Access last_write;
    std::vector<Access> reads;  // since the last write, in the newest block epoch that read
  };

  Cell& cell(const Index& index) {
    if (block_ != block_serial()) {
      for (Cell& each : cells_) each = Cell{};
      block_ = block_serial();
    }
    if (index.value < 0 || index.value >= static_cast<std::int64_t>(cells_.size())) {
      fault("index " + std::to_string(index.value) + " of shared memory " + name_ + "[" +
                std::to_string(cells_.size()) + "]",
            index.where);
    }
    return cells_[static_cast<std::size_t>(index.value)];
  }

  // Whether a barrier lies between an earlier access and `now`.
  static bool ordered(const Access& earlier, const Access& now) {
    if (earlier.thread == now.thread || earlier.epoch.block != now.epoch.block) return true;
    if (earlier.atomic && now.atomic) return true;
    return earlier.thread / 32 == now.thread / 32 && earlier.epoch.warp < now.epoch.warp;
  }

  void expect_ordered(const Access& earlier, const Access& now, const char* what, const Index& index) {
    if (ordered(earlier, now)) return;
    fault(std::string("race on shared memory ") + name_ + "[" + std::to_string(index.value) + "]: " + what +
              " thread " + std::to_string(earlier.thread) + ", and no barrier between",
          index.where);
  }

  Element read(const Index& index) {
    Cell& cell = this->cell(index);
    if (!cell.written) fault(std::string("read of unwritten shared memory ") + name_, index.where);
    const Access now{current().linear, epoch()};
    expect_ordered(cell.last_write, now, "reads what was written by", index);
    if (!cell.reads.empty() && cell.reads.back().epoch.block != now.epoch.block) cell.reads.clear();
    cell.reads.push_back(now);
    return cell.value;
  }

  void write(const Index& index, Element value, bool atomic = false) {
    Cell& cell = this->cell(index);
    const Access now{current().linear, epoch(), atomic};
    if (cell.written) expect_ordered(cell.last_write, now, "writes what was written by", index);
    for (const Access& earlier : cell.reads) expect_ordered(earlier, now, "writes what was read by", index);
    cell.value = value;
    cell.written = true;
    cell.last_write = now;
    cell.reads.clear();
  }

  template <typename Change>
  Element change_atomically(const Index& index, const Change& change) {
    Cell& cell = this->cell(index);
    if (!cell.written) fault(std::string("read of unwritten shared memory ") + name_, index.where);
    const Element before = cell.value;
    write(index, change(before), true);
    return before;
  }

  const char* name_;
  std::uint64_t block_ = 0;
  std::vector<Cell> cells_;
};

}  // namespace lockstep::emulator
