// Every kernel's CPU form, as operator/element/shape, in bytes a second: each input read and each output written once.
#include <benchmark/benchmark.h>

namespace lockstep::kernels {

void register_embedding_gradient_benchmarks();
void register_flat_benchmarks();
void register_image_augment_benchmarks();
void register_max_pool_relu_benchmarks();

}  // namespace lockstep::kernels

int main(int argc, char** argv) {
  using namespace lockstep::kernels;
  register_embedding_gradient_benchmarks();
  register_flat_benchmarks();
  register_image_augment_benchmarks();
  register_max_pool_relu_benchmarks();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
