// What kernels_benchmark runs: each file of benchmarks registers its own.
#pragma once

namespace lockstep::kernels {

void register_flat_benchmarks();
void register_softmax_cross_entropy_benchmarks();

}  // namespace lockstep::kernels
