// Operators on a GPU: the first CUDA device.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>

#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

class GpuForm : public Form {
 public:
  GpuForm() { check(cudaStreamCreate(&stream_), "cudaStreamCreate"); }
  std::string name() const override { return "GPU"; }
  bool is_cuda() const override { return true; }
  Stream stream() const override { return stream_; }
  void run(const std::function<void()>& operation) const override {
    operation();
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }
  // What lies beyond the end is seen by compute-sanitizer.
  std::shared_ptr<void> allocate(std::size_t bytes, std::size_t misaligned, bool) const override {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes + misaligned + 1), "cudaMalloc");
    check(cudaMemset(memory, 0xff, bytes + misaligned + 1), "cudaMemset");
    const std::shared_ptr<void> owner(memory, [](void* pointer) { cudaFree(pointer); });
    return {owner, static_cast<std::byte*>(memory) + misaligned};
  }
  void copy_in(void* memory, const void* from, std::size_t bytes) const override {
    check(cudaMemcpy(memory, from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  void copy_out(void* to, const void* memory, std::size_t bytes) const override {
    check(cudaMemcpy(to, memory, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
  }

 private:
  cudaStream_t stream_ = nullptr;
};

inline bool has_gpu() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

}  // namespace lockstep::kernels
