#include "engine/device/CudaDevice.h"

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/device/CudaGraph.h"

namespace lockstep {

namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;

void check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return;
  throw InputError(what + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

// The module stands beside this program.
void* load_module() {
  const std::filesystem::path module =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "lockstep-cuda.so";
  if (void* handle = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  throw InputError(std::string("cannot load PyTorch for CUDA: ") + ::dlerror() +
                   "; install torch 2.11 with its CUDA libraries, or set device=cpu");
}

cudaDeviceProp properties(int index) {
  cudaDeviceProp found{};
  check(cudaGetDeviceProperties(&found, index), "cudaGetDeviceProperties of device " + std::to_string(index));
  return found;
}

}  // namespace

CudaDevice::CudaDevice(const Options& options)
    : place_(c10::kCUDA, static_cast<c10::DeviceIndex>(options.index)), tf32_(options.tf32) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "CUDA cannot be used");
  if (options.index >= count) {
    throw InputError("this rank is to use GPU " + std::to_string(options.index) + ", and CUDA sees " +
                     std::to_string(count));
  }
  load_module();
  at::Context& context = at::globalContext();
  context.lazyInitDevice(c10::kCUDA);
  check(cudaSetDevice(options.index), "cudaSetDevice of device " + std::to_string(options.index));
  c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, place_.index()));
  context.setAllowTF32CuBLAS(tf32_);
  context.setAllowTF32CuDNN(tf32_);
  context.setBenchmarkCuDNN(true);
}

std::string CudaDevice::description() const {
  const cudaDeviceProp found = properties(place_.index());
  int driver = 0;
  int runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const auto version = [](int number) { return format("%d.%d", number / 1000, number % 1000 / 10); };
  return std::string(found.name) + format(", %.1f GiB", static_cast<double>(found.totalGlobalMem) / kGiB) + ", CUDA " +
         version(runtime) + " on a driver for " + version(driver) + ", TF32 " + (tf32_ ? "on" : "off") +
         ", cuDNN autotuning on";
}

std::string CudaDevice::card() const { return properties(place_.index()).name; }

std::string CudaDevice::pci_bus_id() const {
  char text[32] = {};
  check(cudaDeviceGetPCIBusId(text, sizeof text, place_.index()), "cudaDeviceGetPCIBusId");
  return text;
}

std::int64_t CudaDevice::peak_memory() const {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(place_.index());
  return stats.reserved_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

std::unique_ptr<CapturedWork> CudaDevice::capture(const std::function<void()>& enqueue) {
  const auto capture =
      reinterpret_cast<decltype(&lockstep_capture_cuda_graph)>(::dlsym(load_module(), "lockstep_capture_cuda_graph"));
  if (!capture) throw InternalError("lockstep-cuda.so is not of this build");
  std::unique_ptr<CapturedWork> captured;
  capture(enqueue, captured);
  return captured;
}

}  // namespace lockstep
