// Numbers of binary files.
#pragma once

#include <bit>
#include <cstring>

namespace lockstep {

static_assert(std::endian::native == std::endian::little);

/// The little-endian number that begins at `bytes`, wherever that is aligned.
template <typename Number>
Number number_at(const void* bytes) {
  Number number{};
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

}  // namespace lockstep
