#include <benchmark/benchmark.h>

#include "benchmarks/kernels/Benchmarks.h"

int main(int argc, char** argv) {
  lockstep::kernels::register_flat_benchmarks();
  lockstep::kernels::register_softmax_cross_entropy_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
