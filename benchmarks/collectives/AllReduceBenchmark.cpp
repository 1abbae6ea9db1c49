// One all-reduce of float32 after the other, by MpiCommunicator: `all_reduce_benchmark BYTES:CALLS...` under mpirun. A
// call's time is the median.
#include "benchmarks/collectives/AllReduceBenchmark.h"

#include <vector>

#include "benchmarks/collectives/MedianSeconds.h"
#include "engine/collectives/MpiCommunicator.h"

int main(int argc, char** argv) {
  const lockstep::MpiSession session;
  lockstep::MpiCommunicator communicator(session, lockstep::MpiMode::kInline);  // as with a thread for every core
  lockstep::run_benchmark(argc, argv, communicator, [&](std::size_t bytes, std::size_t calls) {
    std::vector<float> buffer(bytes / sizeof(float));
    const auto all_reduce = [&] {
      communicator.all_reduce(buffer.data(), buffer.size(), lockstep::DataType::kFloat32, lockstep::ReduceOp::kSum)
          ->wait();
    };
    lockstep::median_seconds(communicator, calls / 4 + 1, all_reduce);  // pages are touched, connections made
    return lockstep::median_seconds(communicator, calls, all_reduce);
  });
}
