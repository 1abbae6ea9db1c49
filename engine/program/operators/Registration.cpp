#include "engine/program/operators/Registration.h"

namespace lockstep {

void register_operators() {
  static const torch::Library library = [] {
    torch::Library defined(torch::Library::DEF, "lockstep", std::nullopt, __FILE__, __LINE__);
    register_attention(defined);
    register_batch_norm(defined);
    register_bias_gelu(defined);
    register_embedding(defined);
    register_layer_norm(defined);
    register_linear(defined);
    register_max_pool_relu(defined);
    register_strided_pointwise_conv2d(defined);
    return defined;
  }();
}

}  // namespace lockstep
