// What ranks spend on agreeing, by MpiCommunicator: `agreement_benchmark CALLS` under mpirun. Rank 0 prints a line
// `NAME SECONDS` for each way, the median over so many calls.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/collectives/MedianSeconds.h"
#include "engine/collectives/Agreement.h"
#include "engine/collectives/MpiCommunicator.h"

int main(int argc, char** argv) {
  const lockstep::MpiSession session;
  lockstep::MpiCommunicator communicator(session, lockstep::MpiMode::kInline);
  const std::size_t calls = argc == 2 ? std::strtoull(argv[1], nullptr, 10) : 0;
  if (calls == 0) {
    std::fprintf(stderr, "usage: %s CALLS\n", argv[0]);
    communicator.abort(2);
  }
  // As a job compares them at its start: each hyperparameter, and digests.
  const std::vector<std::pair<std::string, std::string>> values(125, {"a hyperparameter", std::string(24, 'a')});
  const std::pair<const char*, std::function<void()>> ways[] = {
      {"barrier", [&] { communicator.barrier(); }},
      {"values", [&] { lockstep::require_agreement(communicator, values); }},
      {"all ok", [&] { lockstep::require_all_ok(communicator, [] {}); }},
  };
  for (const auto& [name, call] : ways) {
    const double seconds = lockstep::median_seconds(communicator, calls, call);
    if (communicator.rank() == 0) std::printf("%s\t%.9f\n", name, seconds);
  }
}
