// Every operator's benchmarks, as operator/element/shape, in bytes a second: each input read and each output written
// once.
#pragma once

namespace lockstep::kernels {

void register_bias_gelu_benchmarks();
void register_embedding_gradient_benchmarks();
void register_flat_benchmarks();
void register_image_augment_benchmarks();
void register_layer_norm_benchmarks();
void register_max_pool_relu_benchmarks();
void register_softmax_cross_entropy_benchmarks();

}  // namespace lockstep::kernels
