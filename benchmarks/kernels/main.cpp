#include <benchmark/benchmark.h>

namespace lockstep::kernels {
void register_flat_benchmarks();
}

int main(int argc, char** argv) {
  lockstep::kernels::register_flat_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
