// What the forms of the all-reduce benchmark share: their arguments and what they print.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Arguments are BYTES:CALLS. Rank 0 prints for each a line `BYTES SECONDS`, what `seconds_per_call` says of an
/// all-reduce of so many bytes, measured over so many calls.
inline void run_benchmark(int argc, char** argv, Communicator& communicator,
                          const std::function<double(std::size_t bytes, std::size_t calls)>& seconds_per_call) {
  for (int i = 1; i < argc; ++i) {
    char* rest = nullptr;
    const std::size_t bytes = std::strtoull(argv[i], &rest, 10);
    const std::size_t calls = *rest == ':' ? std::strtoull(rest + 1, nullptr, 10) : 0;
    if (bytes < sizeof(float) || calls == 0) {
      std::fprintf(stderr, "%s: expected BYTES:CALLS, not \"%s\"\n", argv[0], argv[i]);
      communicator.abort(2);
    }
    const double seconds = seconds_per_call(bytes, calls);
    if (communicator.rank() == 0) std::printf("%zu %.9f\n", bytes, seconds);
  }
}

}  // namespace lockstep
