#include "engine/collectives/NcclApi.h"

#include <dlfcn.h>

#include <string>
#include <string_view>

#include "common/Error.h"
#include "kernels/CudaError.h"

namespace lockstep {

namespace {

constexpr const char* kRemedy =
    "; GPUs need NCCL 2.19 or newer: install it (nvidia-nccl-cu13 of PyPI, libnccl2 of Debian) and name its folder in "
    "LD_LIBRARY_PATH";

// NCCL has no result of its own for it.
bool tells_of_memory(std::string_view text) {
  const auto has = [&](const char* part) { return text.find(part) != std::string_view::npos; };
  return has("out of memory") || has("Cannot allocate memory") || (has("Failed to") && has("alloc"));
}

}  // namespace

void NcclApi::check(const NcclOperation& operation, const char* call, ncclResult_t result) const {
  if (result == ncclSuccess) return;
  std::string text = operation.text() + ": " + call + ": " + get_error_string.function(result);
  if (const char* last = get_last_error.function(nullptr); last != nullptr && *last != '\0') {
    text += std::string("; NCCL's last error: ") + last;
  }
  switch (result) {
    case ncclRemoteError:
      throw PeerError(text);
    case ncclUnhandledCudaError:
      if (tells_of_memory(text)) throw OutOfMemoryError(text);
      throw SystemError(text);
    case ncclSystemError:
      if (tells_of_memory(text)) throw OutOfMemoryError(text);
      throw SystemError(text + "; look at the size of /dev/shm and the network; NCCL_DEBUG=INFO says more");
    default:
      throw InternalError(text);
  }
}

void NcclApi::check(const NcclOperation& operation, const char* call, cudaError_t result) const {
  if (result == cudaSuccess) return;
  clear_error.function();
  kernels::throw_cuda_error(operation.text() + ": " + call, result);
}

CudaOwner<CUstream_st> NcclApi::make_stream(int rank) const {
  const NcclOperation operation{rank, "making a stream"};
  int lowest = 0;
  int highest = 0;
  run(operation, stream_priorities, &lowest, &highest);
  cudaStream_t stream = nullptr;
  run(operation, stream_create, &stream, cudaStreamNonBlocking, highest);
  return {stream, [this](cudaStream_t made) { stream_destroy.function(made); }};
}

CudaOwner<CUevent_st> NcclApi::make_event(int rank) const {
  cudaEvent_t event = nullptr;
  run({rank, "making an event"}, event_create, &event, cudaEventDisableTiming);
  return {event, [this](cudaEvent_t made) { event_destroy.function(made); }};
}

CudaOwner<void> NcclApi::make_memory(int rank, std::size_t bytes) const {
  void* memory = nullptr;
  run({rank, "allocating device memory"}, device_malloc, &memory, bytes);
  return {memory, [this](void* made) { device_free.function(made); }};
}

bool NcclApi::is_done(const NcclOperation& operation, cudaStream_t stream) const {
  const cudaError_t result = stream_query.function(stream);
  if (result == cudaErrorNotReady) {
    clear_error.function();  // or the next kernel's launch would find it
    return false;
  }
  check(operation, stream_query.name, result);
  return true;
}

bool NcclApi::is_capturing(const NcclOperation& operation, cudaStream_t stream) const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  run(operation, stream_is_capturing, stream, &status);
  return status != cudaStreamCaptureStatusNone;
}

std::shared_ptr<const NcclApi> load_nccl(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw InputError("NCCL cannot be loaded: " + std::string(::dlerror()) + kRemedy);

  auto api = std::make_shared<NcclApi>();
  const auto resolve = [&]<typename Signature>(NamedCall<Signature>& call) {
    call.function = reinterpret_cast<Signature*>(::dlsym(handle, call.name));
    const bool optional = std::string_view(call.name).ends_with("gister");  // ncclCommRegister, ncclCommDeregister
    if (call.function == nullptr && !optional) {
      throw InputError(library + " has no function " + call.name + kRemedy);
    }
  };
  api->for_each(resolve, [](auto&) {});
  api->set_device.function = cudaSetDevice;
  api->stream_priorities.function = cudaDeviceGetStreamPriorityRange;
  api->stream_create.function = cudaStreamCreateWithPriority;
  api->stream_wait_event.function = cudaStreamWaitEvent;
  api->stream_query.function = cudaStreamQuery;
  api->stream_is_capturing.function = cudaStreamIsCapturing;
  api->stream_destroy.function = cudaStreamDestroy;
  api->event_create.function = cudaEventCreateWithFlags;
  api->event_record.function = cudaEventRecord;
  api->event_query.function = cudaEventQuery;
  api->event_destroy.function = cudaEventDestroy;
  api->device_malloc.function = static_cast<cudaError_t (*)(void**, std::size_t)>(cudaMalloc);
  api->device_free.function = cudaFree;
  api->clear_error.function = cudaGetLastError;
  return api;
}

std::string nccl_version_text(int version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace lockstep
