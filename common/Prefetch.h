// Asking memory for bytes before they are needed.
#pragma once

#include <algorithm>
#include <cstddef>

namespace lockstep {

/// Begins to load the first of these bytes into the cache, without waiting and without a fault; the processor itself
/// loads those behind them once they are read in a row.
inline void prefetch(const void* bytes, std::size_t count) {
  constexpr std::size_t kLine = 64, kMost = 256;
  for (std::size_t at = 0; at < std::min(count, kMost); at += kLine)
    __builtin_prefetch(static_cast<const std::byte*>(bytes) + at);
}

}  // namespace lockstep
