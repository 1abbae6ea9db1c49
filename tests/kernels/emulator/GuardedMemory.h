// Memory between two pages that cannot be touched.
#pragma once

#include <cstddef>
#include <string>

namespace lockstep::emulator {

/// `bytes` of memory that begin, or end, at a page that cannot be touched, with another on the far side. All bytes are
/// 0xff at first: a NaN in every floating-point type, and no likely value in others. While an emulated kernel runs, an
/// access to the pages is a Fault; otherwise it ends the process.
class GuardedMemory {
 public:
  enum class Side { kStart, kEnd };  ///< which end of the memory is next to a guard page, to the byte
  /// With kStart the memory begins `misaligned` bytes behind the start of a page.
  GuardedMemory(std::size_t bytes, Side side, std::size_t misaligned = 0);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// Whether nothing has been written between the memory and the guard pages, where the pages are larger than it.
  bool surroundings_intact() const;

 private:
  std::size_t bytes_;
  std::size_t mapped_;
  void* mapping_;
  void* data_;
};

/// Which memory `address` is nearest to, and on which side of it: for a Fault.
std::string describe_address(const void* address);

}  // namespace lockstep::emulator
