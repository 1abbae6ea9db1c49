#include "tests/kernels/emulator/GuardedMemory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <new>

namespace lockstep::emulator {

namespace {

struct Extent {
  std::uintptr_t mapping_begin, mapping_end, begin, end;
};

// By the start of the mapping.
std::map<std::uintptr_t, Extent>& extents() {
  static std::map<std::uintptr_t, Extent> all;
  return all;
}

std::size_t page_size() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

GuardedMemory::GuardedMemory(std::size_t bytes, Side side, std::size_t misaligned) : bytes_(bytes) {
  const std::size_t page = page_size();
  const std::size_t whole = (bytes + misaligned + page - 1) / page * page;
  mapped_ = whole + 2 * page;
  mapping_ = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  auto* first = static_cast<std::byte*>(mapping_) + page;
  if (whole > 0 && mprotect(first, whole, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  std::memset(first, 0xff, whole);
  data_ = side == Side::kStart ? first + misaligned : first + (whole - bytes);
  const auto begin = reinterpret_cast<std::uintptr_t>(mapping_);
  const auto data = reinterpret_cast<std::uintptr_t>(data_);
  extents()[begin] = {begin, begin + mapped_, data, data + bytes};
}

GuardedMemory::~GuardedMemory() {
  extents().erase(reinterpret_cast<std::uintptr_t>(mapping_));
  munmap(mapping_, mapped_);
}

bool GuardedMemory::surroundings_intact() const {
  const auto* data = static_cast<const std::byte*>(data_);
  const auto* begin = static_cast<const std::byte*>(mapping_) + page_size();
  const auto* end = static_cast<const std::byte*>(mapping_) + mapped_ - page_size();
  const auto intact = [](std::byte byte) { return byte == std::byte{0xff}; };
  return std::all_of(begin, data, intact) && std::all_of(data + bytes_, end, intact);
}

std::string describe_address(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const auto& [start, extent] : extents()) {
    if (at < extent.mapping_begin || at >= extent.mapping_end) continue;
    const std::string size = std::to_string(extent.end - extent.begin);
    if (at >= extent.end) return std::to_string(at - extent.end) + " bytes past the end of " + size;
    if (at < extent.begin) return std::to_string(extent.begin - at) + " bytes before the start of " + size;
  }
  return "in no memory of the test";
}

}  // namespace lockstep::emulator
