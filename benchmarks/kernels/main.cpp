#include <benchmark/benchmark.h>

#include "benchmarks/kernels/Benchmarks.h"

int main(int argc, char** argv) {
  using namespace lockstep::kernels;
  register_bias_gelu_benchmarks();
  register_embedding_gradient_benchmarks();
  register_flat_benchmarks();
  register_image_augment_benchmarks();
  register_layer_norm_benchmarks();
  register_max_pool_relu_benchmarks();
  register_softmax_cross_entropy_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
