#include "engine/device/CudaGraph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>

namespace {

class CudaGraph : public lockstep::CapturedWork {
 public:
  explicit CudaGraph(const std::function<void()>& enqueue) {
    // What is cached for uncaptured steps would lie idle beside the graph's own memory.
    c10::cuda::getCurrentCUDAStream().synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    // Other threads (the loader's, NCCL's) may go on allocating and asking.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      enqueue();
    } catch (...) {
      // The first error says why; ending a capture that failed throws another.
      try {
        graph_.capture_end();
      } catch (...) {
      }
      throw;
    }
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

}  // namespace

void lockstep_capture_cuda_graph(const std::function<void()>& enqueue,
                                 std::unique_ptr<lockstep::CapturedWork>& captured) {
  captured = std::make_unique<CudaGraph>(enqueue);
}
