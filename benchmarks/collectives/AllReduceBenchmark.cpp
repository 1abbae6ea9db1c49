// One all-reduce of float32 after the other, by MpiCommunicator: `all_reduce_benchmark BYTES:CALLS...` under mpirun. A
// call's time is the median.
#include "benchmarks/collectives/AllReduceBenchmark.h"

#include <chrono>
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
  lockstep::run_benchmark(argc, argv, communicator, [&](std::size_t bytes, std::size_t calls) {
    std::vector<float> buffer(bytes / sizeof(float));
    median_seconds(communicator, buffer, calls / 4 + 1);  // pages are touched, connections made
    return median_seconds(communicator, buffer, calls);
  });
}
