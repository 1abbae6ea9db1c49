// How long a call of all ranks takes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// The median over so many calls, each of which all ranks begin together.
inline double median_seconds(Communicator& communicator, std::size_t calls, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (std::size_t i = 0; i < calls; ++i) {
    communicator.barrier();
    const auto start = Clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + static_cast<std::ptrdiff_t>(calls / 2));
  return seconds[calls / 2];
}

}  // namespace lockstep
