// One all-reduce of float32 after the other, by MpiCommunicator: `all_reduce_benchmark BYTES:CALLS...` under mpirun.
// Rank 0 prints for each size a line `BYTES SECONDS`, the median of its calls.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "engine/collectives/MpiCommunicator.h"

namespace {

using Clock = std::chrono::steady_clock;

double median_seconds(lockstep::Communicator& communicator, std::vector<float>& buffer, std::size_t calls) {
  std::vector<double> seconds;
  for (std::size_t call = 0; call < calls; ++call) {
    communicator.barrier();
    const auto start = Clock::now();
    communicator.all_reduce(buffer.data(), buffer.size(), lockstep::DataType::kFloat32, lockstep::ReduceOp::kSum)
        ->wait();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + static_cast<std::ptrdiff_t>(calls / 2));
  return seconds[calls / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const lockstep::MpiSession session;
  lockstep::MpiCommunicator communicator(session, lockstep::MpiMode::kInline);  // as with a thread for every core
  for (int i = 1; i < argc; ++i) {
    char* rest = nullptr;
    const std::size_t bytes = std::strtoull(argv[i], &rest, 10);
    const std::size_t calls = *rest == ':' ? std::strtoull(rest + 1, nullptr, 10) : 0;
    if (bytes < sizeof(float) || calls == 0) {
      std::fprintf(stderr, "all_reduce_benchmark: expected BYTES:CALLS, not \"%s\"\n", argv[i]);
      communicator.abort(2);
    }
    std::vector<float> buffer(bytes / sizeof(float));
    median_seconds(communicator, buffer, calls / 4 + 1);  // pages are touched, connections made
    const double seconds = median_seconds(communicator, buffer, calls);
    if (communicator.rank() == 0) std::printf("%zu %.9f\n", bytes, seconds);
  }
}
