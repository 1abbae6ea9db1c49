// The same over NCCL, one GPU for each rank, or, with --share, any: `all_reduce_nccl_benchmark [--share]
// BYTES:CALLS...`. As nccl-tests does it, a call's time is that of all calls, one behind the other on the device, by
// their number. Without a GPU it ends with 77.
#include <cuda_runtime_api.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "benchmarks/collectives/AllReduceBenchmark.h"
#include "engine/collectives/DevicePlacement.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/collectives/NcclCommunicator.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

double mean_seconds(NcclCommunicator& communicator, float* buffer, std::size_t count, std::size_t calls) {
  communicator.barrier();
  const auto start = Clock::now();
  for (std::size_t call = 0; call < calls; ++call) {
    communicator.all_reduce(buffer, count, DataType::kFloat32, ReduceOp::kSum);
  }
  communicator.synchronize();
  return std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(calls);
}

void run(int argc, char** argv, const MpiSession& session, Communicator& bootstrap, int devices) {
  const std::string host = std::getenv("HOSTNAME") == nullptr ? "this host" : std::getenv("HOSTNAME");
  const bool share = argc > 1 && std::string(argv[1]) == "--share";
  const int device =
      choose_device({host, session.place().rank_on_host, session.place().ranks_on_host, {}, devices}, share);
  char bus_id[32] = {};
  check(cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, device), "cudaDeviceGetPCIBusId");
  const std::string host_id = require_distinct_devices(bootstrap, host, bus_id, share);
  if (!host_id.empty()) ::setenv("NCCL_HOSTID", host_id.c_str(), 1);
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaStream_t compute = nullptr;
  check(cudaStreamCreate(&compute), "cudaStreamCreate");
  NcclCommunicator communicator(load_nccl(), bootstrap, device, compute);
  run_benchmark(argc - share, argv + share, communicator, [&](std::size_t bytes, std::size_t calls) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes), "cudaMalloc");
    const std::unique_ptr<void, cudaError_t (*)(void*)> owner(memory, cudaFree);
    check(cudaMemset(memory, 0, bytes), "cudaMemset");
    auto* buffer = static_cast<float*>(memory);
    mean_seconds(communicator, buffer, bytes / sizeof(float), calls / 4 + 1);  // connections are made
    return mean_seconds(communicator, buffer, bytes / sizeof(float), calls);
  });
}

}  // namespace

}  // namespace lockstep

int main(int argc, char** argv) {
  const lockstep::MpiSession session;
  lockstep::MpiCommunicator bootstrap(session, lockstep::MpiMode::kInline);
  int devices = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess || devices == 0) {
    if (bootstrap.rank() == 0) std::printf("skipped: no CUDA device: %s\n", cudaGetErrorString(error));
    return 77;
  }
  try {
    lockstep::run(argc, argv, session, bootstrap, devices);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", bootstrap.rank(), error.what());
    bootstrap.abort(1);
  }
}
