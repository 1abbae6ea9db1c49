#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/device/CudaModule.h"

namespace lockstep {

namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;

void check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return;
  throw InputError(what + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

cudaDeviceProp properties(int index) {
  cudaDeviceProp found{};
  check(cudaGetDeviceProperties(&found, index), "cudaGetDeviceProperties of device " + std::to_string(index));
  return found;
}

// PyTorch warns, if told to, of operators that make the host wait for the device; warnings of autograd's threads reach
// the one that called backward. Such an operator cannot be captured.
class WaitWatcher : public c10::WarningHandler {
 public:
  WaitWatcher() : guard_(this) { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_WARN); }
  ~WaitWatcher() override { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED); }
  void process(const c10::Warning& warning) override {
    if (warning.msg().find("synchronizing") != std::string::npos) {
      found_ = true;
    } else {
      c10::WarningHandler::process(warning);
    }
  }
  bool found() const { return found_; }

 private:
  bool found_ = false;
  c10::WarningUtils::WarningHandlerGuard guard_;
};

class CudaGraph : public CapturedWork {
 public:
  explicit CudaGraph(const std::function<void()>& enqueue) {
    // What is cached for uncaptured steps would lie idle beside the graph's own memory.
    c10::cuda::getCurrentCUDAStream().synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    // Other threads (the loader's, NCCL's) may go on allocating and asking.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    enqueue();
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(const CudaOptions& options)
      : place_(c10::kCUDA, static_cast<c10::DeviceIndex>(options.index)), tf32_(options.tf32) {
    int count = 0;
    check(cudaGetDeviceCount(&count), "CUDA cannot be used");
    if (options.index >= count) {
      throw InputError("this rank is to use GPU " + std::to_string(options.index) + ", and CUDA sees " +
                       std::to_string(count));
    }
    at::Context& context = at::globalContext();
    context.lazyInitDevice(c10::kCUDA);
    check(cudaSetDevice(options.index), "cudaSetDevice of device " + std::to_string(options.index));
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, place_.index()));
    copy_stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, place_.index());
    context.setAllowTF32CuBLAS(tf32_);
    context.setAllowTF32CuDNN(tf32_);
    context.setBenchmarkCuDNN(true);
  }

  c10::Device place() const override { return place_; }
  std::string card() const override { return properties(place_.index()).name; }
  bool asynchronous() const override { return true; }

  std::string description() const override {
    const cudaDeviceProp found = properties(place_.index());
    int driver = 0;
    int runtime = 0;
    check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    const auto version = [](int number) { return format("%d.%d", number / 1000, number % 1000 / 10); };
    return std::string(found.name) + format(", %.1f GiB", static_cast<double>(found.totalGlobalMem) / kGiB) +
           ", CUDA " + version(runtime) + " on a driver for " + version(driver) + ", TF32 " + (tf32_ ? "on" : "off") +
           ", cuDNN autotuning on";
  }

  std::string pci_bus_id() const override {
    char text[32] = {};
    check(cudaDeviceGetPCIBusId(text, sizeof text, place_.index()), "cudaDeviceGetPCIBusId");
    return text;
  }

  std::int64_t peak_memory() const override {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(place_.index());
    return stats.reserved_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  }

  std::optional<c10::Stream> copy_stream() const override { return copy_stream_; }

  std::string watch(const std::function<void()>& enqueue) override {
    const WaitWatcher waits;
    enqueue();
    return waits.found() ? "an operator of the program makes the host wait for the GPU" : "";
  }

  std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) override {
    return std::make_unique<CudaGraph>(enqueue);
  }

 private:
  c10::Device place_;
  bool tf32_;
  std::optional<c10::Stream> copy_stream_;
};

}  // namespace

}  // namespace lockstep

void lockstep_make_cuda_device(const lockstep::CudaOptions& options, std::unique_ptr<lockstep::Device>& device) {
  // NVRTC looks for it by its name alone, and finds it where it is loaded already: the wheel's own folder is on no
  // path.
  const std::string version = std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
  ::dlopen(("libnvrtc-builtins.so." + version).c_str(), RTLD_NOW);
  device = std::make_unique<lockstep::CudaDevice>(options);
}
