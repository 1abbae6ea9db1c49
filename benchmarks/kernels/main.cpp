#include <benchmark/benchmark.h>

namespace lockstep::kernels {
void register_flat_kernels_benchmarks();
void register_layer_norm_benchmarks();
}  // namespace lockstep::kernels

int main(int argc, char** argv) {
  lockstep::kernels::register_flat_kernels_benchmarks();
  lockstep::kernels::register_layer_norm_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
