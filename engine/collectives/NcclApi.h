// The calls of NCCL and of CUDA's runtime that collectives on GPUs make. NCCL's come from a library that is loaded when
// they are first wanted, for a job on CPUs runs without it; tests put calls of their own in place of both.
#pragma once

#include <nccl.h>

#include <functional>
#include <memory>
#include <string>

#include "engine/collectives/NcclOperation.h"

namespace lockstep {

/// A function and the name that errors give it. Null when the library lacks it.
template <typename Signature>
struct NamedCall {
  const char* name;
  std::function<Signature> function = nullptr;
};

/// A stream, an event or device memory that goes when its owner goes.
template <typename T>
using CudaOwner = std::unique_ptr<T, std::function<void(T*)>>;

/// Arguments and meanings are those of the functions so named. `run` makes a call and turns its result into an error.
/// What CUDA's mean, kernels/CudaError.h says; CUDA's last error is cleared. NCCL's are
/// - OutOfMemoryError: the host's or the device's memory is at its end;
/// - PeerError: another rank exited or cannot be reached;
/// - InternalError: an argument or a usage is wrong, or NCCL found a fault of its own;
/// - SystemError: any other failure of CUDA or of the operating system.
/// The text has what the rank was doing, the call, and NCCL's or CUDA's own words.
struct NcclApi {
  NamedCall<decltype(ncclGetVersion)> get_version{"ncclGetVersion"};
  NamedCall<decltype(ncclGetErrorString)> get_error_string{"ncclGetErrorString"};
  NamedCall<decltype(ncclGetLastError)> get_last_error{"ncclGetLastError"};
  NamedCall<decltype(ncclGetUniqueId)> get_unique_id{"ncclGetUniqueId"};
  NamedCall<decltype(ncclCommInitRankConfig)> init_rank{"ncclCommInitRankConfig"};
  NamedCall<decltype(ncclCommFinalize)> finalize{"ncclCommFinalize"};
  NamedCall<decltype(ncclCommDestroy)> destroy{"ncclCommDestroy"};
  NamedCall<decltype(ncclCommAbort)> abort{"ncclCommAbort"};
  NamedCall<decltype(ncclCommGetAsyncError)> get_async_error{"ncclCommGetAsyncError"};
  NamedCall<decltype(ncclAllReduce)> all_reduce{"ncclAllReduce"};
  NamedCall<decltype(ncclReduceScatter)> reduce_scatter{"ncclReduceScatter"};
  NamedCall<decltype(ncclAllGather)> all_gather{"ncclAllGather"};
  NamedCall<decltype(ncclBroadcast)> broadcast{"ncclBroadcast"};
  NamedCall<decltype(ncclCommRegister)> register_buffer{"ncclCommRegister"};        // since 2.19, else null
  NamedCall<decltype(ncclCommDeregister)> deregister_buffer{"ncclCommDeregister"};  // as above

  NamedCall<decltype(cudaSetDevice)> set_device{"cudaSetDevice"};
  NamedCall<decltype(cudaDeviceGetStreamPriorityRange)> stream_priorities{"cudaDeviceGetStreamPriorityRange"};
  NamedCall<decltype(cudaStreamCreateWithPriority)> stream_create{"cudaStreamCreateWithPriority"};
  NamedCall<decltype(cudaStreamWaitEvent)> stream_wait_event{"cudaStreamWaitEvent"};
  NamedCall<decltype(cudaStreamQuery)> stream_query{"cudaStreamQuery"};
  NamedCall<decltype(cudaStreamIsCapturing)> stream_is_capturing{"cudaStreamIsCapturing"};
  NamedCall<decltype(cudaStreamDestroy)> stream_destroy{"cudaStreamDestroy"};
  NamedCall<decltype(cudaEventCreateWithFlags)> event_create{"cudaEventCreateWithFlags"};
  NamedCall<decltype(cudaEventRecord)> event_record{"cudaEventRecord"};
  NamedCall<decltype(cudaEventQuery)> event_query{"cudaEventQuery"};
  NamedCall<decltype(cudaEventDestroy)> event_destroy{"cudaEventDestroy"};
  NamedCall<cudaError_t(void**, std::size_t)> device_malloc{"cudaMalloc"};
  NamedCall<decltype(cudaFree)> device_free{"cudaFree"};
  NamedCall<decltype(cudaGetLastError)> clear_error{"cudaGetLastError"};

  /// Calls `visit` for every call of NCCL, then `visit_cuda` for every call of CUDA.
  template <typename Visit, typename VisitCuda>
  void for_each(Visit visit, VisitCuda visit_cuda) {
    const auto all = [](auto& each, auto&... calls) { (each(calls), ...); };
    all(visit, get_version, get_error_string, get_last_error, get_unique_id, init_rank, finalize, destroy, abort,
        get_async_error, all_reduce, reduce_scatter, all_gather, broadcast, register_buffer, deregister_buffer);
    all(visit_cuda, set_device, stream_priorities, stream_create, stream_wait_event, stream_query, stream_is_capturing,
        stream_destroy, event_create, event_record, event_query, event_destroy, device_malloc, device_free,
        clear_error);
  }

  template <typename Signature, typename... Arguments>
  void run(const NcclOperation& operation, const NamedCall<Signature>& call, Arguments... arguments) const {
    check(operation, call.name, call.function(arguments...));
  }

  /// What `run` does with a call's result.
  void check(const NcclOperation& operation, const char* call, ncclResult_t result) const;
  void check(const NcclOperation& operation, const char* call, cudaError_t result) const;

  /// On the current device. The owners use this object. The stream has the highest priority: a collective's few blocks
  /// should not queue behind a large kernel's. The event keeps no time.
  CudaOwner<CUstream_st> make_stream(int rank) const;
  CudaOwner<CUevent_st> make_event(int rank) const;
  CudaOwner<void> make_memory(int rank, std::size_t bytes) const;

  /// Whether the stream's work is done. Not while this thread captures.
  bool is_done(const NcclOperation& operation, cudaStream_t stream) const;
  /// Whether what is enqueued on the stream now becomes part of a graph.
  bool is_capturing(const NcclOperation& operation, cudaStream_t stream) const;
};

/// Loads NCCL: `library` is a path, or a name for the loader to find, which it also does beside the libtorch that this
/// was built with. Throws InputError when there is none or it lacks a function. It stays loaded for the process's life.
std::shared_ptr<const NcclApi> load_nccl(const std::string& library = "libnccl.so.2");

/// 22809 as "2.28.9".
std::string nccl_version_text(int version);

}  // namespace lockstep
