// kernels_benchmark [--gpu] [Google Benchmark's options]. With --gpu, where there is none, it ends with 77.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string_view>

#include "benchmarks/kernels/Benchmarks.h"

int main(int argc, char** argv) {
  using namespace lockstep::kernels;
  const bool gpu = argc > 1 && std::string_view(argv[1]) == "--gpu";
  const std::unique_ptr<Cases> cases = gpu ? gpu_cases() : cpu_cases();
  if (!cases) {
    std::puts("skipped: no CUDA device");
    return 77;
  }
  for (const auto add : {add_batch_norm, add_bias_gelu, add_embedding_gradient, add_flat_kernels, add_image_augment,
                         add_layer_norm, add_max_pool_relu, add_softmax_cross_entropy}) {
    add(*cases);
  }
  if (gpu) argv[1] = argv[0];
  int rest = argc - gpu;
  benchmark::Initialize(&rest, argv + gpu);
  benchmark::RunSpecifiedBenchmarks();
}
