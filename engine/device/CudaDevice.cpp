#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/native/ConvUtils.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/device/CudaModule.h"
#include "kernels/CudaError.h"

namespace lockstep {

namespace {

constexpr double kMiB = 1024.0 * 1024;
constexpr double kGiB = 1024 * kMiB;

using kernels::check_cuda;

cudaDeviceProp properties(int index) {
  cudaDeviceProp found{};
  check_cuda("cudaGetDeviceProperties of device " + std::to_string(index), cudaGetDeviceProperties(&found, index));
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

// While it lives, what is allocated on the current stream, by whatever thread, comes from a graph's pool.
class AllocationsFromPool {
 public:
  explicit AllocationsFromPool(c10::MempoolId_t pool) : stream_(c10::cuda::getCurrentCUDAStream()), pool_(pool) {
    const cudaStream_t own = stream_.stream();
    c10::cuda::CUDACachingAllocator::beginAllocateToPool(stream_.device_index(), pool_,
                                                         [own](cudaStream_t stream) { return stream == own; });
    // cuDNN's autotuning gives the cache back, which the allocator refuses meanwhile.
    at::native::_cudnn_set_conv_benchmark_empty_cache(false);
  }
  AllocationsFromPool(const AllocationsFromPool&) = delete;
  AllocationsFromPool& operator=(const AllocationsFromPool&) = delete;
  ~AllocationsFromPool() {
    at::native::_cudnn_set_conv_benchmark_empty_cache(true);
    c10::cuda::CUDACachingAllocator::endAllocateToPool(stream_.device_index(), pool_);
    c10::cuda::CUDACachingAllocator::releasePool(stream_.device_index(), pool_);  // the graph still holds it
  }

 private:
  c10::cuda::CUDAStream stream_;
  c10::MempoolId_t pool_;
};

class CudaGraph : public CapturedWork {
 public:
  explicit CudaGraph(const std::function<void()>& enqueue) {
    // What is cached for uncaptured steps would lie idle beside the graph's own memory.
    c10::cuda::CUDACachingAllocator::emptyCache();
    // Other threads (the loader's, NCCL's) may go on allocating and asking.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    enqueue();
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

  void beside(const std::function<void()>& work) override {
    const AllocationsFromPool scope(graph_.pool());
    work();
  }

 private:
  at::cuda::CUDAGraph graph_;
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(const CudaOptions& options)
      : place_(c10::kCUDA, static_cast<c10::DeviceIndex>(options.index)),
        tf32_(options.tf32),
        deterministic_(options.deterministic) {
    int count = 0;
    check_cuda("CUDA cannot be used", cudaGetDeviceCount(&count));
    if (options.index >= count) {
      throw InputError("this rank is to use GPU " + std::to_string(options.index) + ", and CUDA sees " +
                       std::to_string(count));
    }
    at::Context& context = at::globalContext();
    context.lazyInitDevice(c10::kCUDA);
    make_current();
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, place_.index()));
    copy_stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, place_.index());
    snapshot_stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, place_.index());
    context.setAllowTF32CuBLAS(tf32_);
    context.setAllowTF32CuDNN(tf32_);
    // Which algorithm is the fastest is not the same in every run.
    context.setBenchmarkCuDNN(!deterministic_);
    context.setDeterministicCuDNN(deterministic_);
  }

  c10::Device place() const override { return place_; }
  std::string card() const override { return properties(place_.index()).name; }
  bool asynchronous() const override { return true; }

  std::string description() const override {
    const cudaDeviceProp found = properties(place_.index());
    int driver = 0;
    int runtime = 0;
    check_cuda("cudaDriverGetVersion", cudaDriverGetVersion(&driver));
    check_cuda("cudaRuntimeGetVersion", cudaRuntimeGetVersion(&runtime));
    const auto version = [](int number) { return format("%d.%d", number / 1000, number % 1000 / 10); };
    return std::string(found.name) + format(", %.1f GiB", static_cast<double>(found.totalGlobalMem) / kGiB) +
           ", CUDA " + version(runtime) + " on a driver for " + version(driver) + ", TF32 " + (tf32_ ? "on" : "off") +
           (deterministic_ ? ", deterministic" : ", cuDNN autotuning on");
  }

  std::string pci_bus_id() const override {
    char text[32] = {};
    check_cuda("cudaDeviceGetPCIBusId", cudaDeviceGetPCIBusId(text, sizeof text, place_.index()));
    return text;
  }

  std::int64_t peak_memory() const override {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(place_.index());
    return stats.reserved_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  }

  std::optional<c10::Stream> copy_stream() const override { return copy_stream_; }
  std::optional<c10::Stream> snapshot_stream() const override { return snapshot_stream_; }

  // Not from PyTorch's allocator, which rounds up to powers of two.
  std::shared_ptr<std::byte> pinned_memory(std::size_t bytes) const override {
    make_current();  // a thread that has none would make a context on device 0
    void* memory = nullptr;
    check_cuda(format("pinning %.1f MiB of the host's memory", static_cast<double>(bytes) / kMiB),
               cudaHostAlloc(&memory, bytes, cudaHostAllocDefault));
    return {static_cast<std::byte*>(memory), [](std::byte* pinned) {
              if (cudaFreeHost(pinned) != cudaSuccess) static_cast<void>(cudaGetLastError());
            }};
  }

  std::string watch(const std::function<void()>& enqueue) override {
    const WaitWatcher waits;
    enqueue();
    return waits.found() ? "an operator of the program makes the host wait for the GPU" : "";
  }

  std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) override {
    return std::make_unique<CudaGraph>(enqueue);
  }

 private:
  void make_current() const {
    check_cuda("cudaSetDevice of device " + std::to_string(place_.index()), cudaSetDevice(place_.index()));
  }

  c10::Device place_;
  bool tf32_;
  bool deterministic_;
  std::optional<c10::Stream> copy_stream_;
  std::optional<c10::Stream> snapshot_stream_;
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
