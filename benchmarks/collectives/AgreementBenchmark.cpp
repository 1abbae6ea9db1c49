// What ranks spend on agreeing, by MpiCommunicator: `agreement_benchmark CALLS` under mpirun. Rank 0 prints a line
// `NAME SECONDS` for each way, the median over so many calls.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/collectives/Agreement.h"
#include "engine/collectives/MpiCommunicator.h"

namespace {

using Clock = std::chrono::steady_clock;

double median_seconds(lockstep::Communicator& communicator, std::size_t calls, const std::function<void()>& call) {
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

}  // namespace

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
    const double seconds = median_seconds(communicator, calls, call);
    if (communicator.rank() == 0) std::printf("%s\t%.9f\n", name, seconds);
  }
}
