#include "engine/program/Aliases.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "common/Text.h"

namespace lockstep {

namespace {

// How an operator's outputs lie in the memory of its inputs.
enum class Sharing { kNever, kAlways, kByStrides };

std::set<std::string> words(const std::string& text) {
  const std::vector<std::string> all = split(text, ' ');
  return {all.begin(), all.end()};
}

// Operators that always return a view or their input, and those that make new tensors. All others may do either,
// according to how values lie in memory.
Sharing sharing(const Node& node) {
  static const std::set<std::string> always = words(
      "H T adjoint alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to chunk conj detach "
      "diagonal dsplit expand expand_as hsplit imag linalg_diagonal mH mT matrix_H moveaxis movedim narrow numpy_T "
      "permute positive real resolve_conj resolve_neg select slice split split_with_sizes squeeze swapaxes swapdims t "
      "tensor_split transpose unbind unfold unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze "
      "view_as_complex view_as_real vsplit "
      "alpha_dropout dropout feature_alpha_dropout feature_dropout lift_fresh to type_as");
  static const std::set<std::string> never = words(
      "__and__ __lshift__ __or__ __rshift__ __xor__ _assert_async _assert_scalar _assert_tensor_metadata _convolution "
      "_is_all_true _is_any_true _log_softmax _safe_softmax _shape_as_tensor _softmax _to_copy _unsafe_index "
      "_unsafe_index_put _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d "
      "_upsample_nearest_exact2d _upsample_nearest_exact3d abs absolute acos acosh adaptive_avg_pool1d "
      "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d add addbmm "
      "addcdiv addcmul addmm addmv addr all allclose amax amin aminmax any arange arccos arccosh arcsin arcsinh arctan "
      "arctan2 arctanh argmax argmin argsort asin asinh atan atan2 atanh avg_pool1d avg_pool2d avg_pool3d baddbmm "
      "batch_norm bernoulli bilinear binary_cross_entropy binary_cross_entropy_with_logits bincount bitwise_and "
      "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm bucketize cat cdist ceil celu "
      "clamp "
      "clamp_max clamp_min clip clone complex concat concatenate constant_pad_nd conv1d conv2d conv3d conv_transpose1d "
      "conv_transpose2d conv_transpose3d convolution copysign cos cosh cosine_similarity count_nonzero cross "
      "cross_entropy_loss ctc_loss cummax cummin cumprod cumsum deg2rad diag_embed diff digamma div divide dot elu "
      "embedding embedding_bag empty empty_like eq erf erfc erfinv exp exp2 expm1 eye flip floor floor_divide fmax "
      "fmin "
      "fft_fft fft_fft2 fft_fftn fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_irfft fft_irfft2 fft_irfftn "
      "fft_rfft fft_rfft2 fft_rfftn "
      "fmod frac full full_like gather ge gelu glu greater greater_equal gru grid_sampler grid_sampler_2d "
      "grid_sampler_3d "
      "group_norm gt hardshrink hardsigmoid hardswish hardtanh heaviside huber_loss hypot im2col col2im inner kron "
      "lstm nan_to_num native_dropout rnn_relu rnn_tanh rot90 tensordot tile index index_add index_copy "
      "index_fill index_put index_select instance_norm isfinite isinf isnan kl_div l1_loss layer_norm le leaky_relu "
      "lerp "
      "less less_equal lift_fresh_copy linalg_norm linalg_vector_norm linear linspace log log10 log1p log2 log_sigmoid "
      "log_softmax logaddexp logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp "
      "lstm_cell lt masked_fill masked_scatter masked_select matmul max max_pool1d max_pool2d max_pool2d_with_indices "
      "max_pool3d maximum mean median min minimum mish mm mse_loss mul multinomial multiply mv "
      "native_group_norm native_layer_norm ne neg negative new_empty new_full new_ones new_zeros nll_loss nll_loss_nd "
      "nonzero norm normal not_equal one_hot ones ones_like outer pad pow prelu prod rad2deg rand rand_like randint "
      "randint_like randn randn_like randperm reciprocal reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 "
      "remainder repeat replication_pad1d replication_pad2d replication_pad3d rms_norm roll round rsqrt rsub "
      "scalar_tensor scaled_dot_product_attention scatter scatter_add scatter_reduce searchsorted select_scatter selu "
      "sigmoid sign silu sin sinc sinh size slice_scatter smooth_l1_loss softmax softplus softshrink sort sqrt square "
      "stack std std_mean sub subtract sum sym_numel sym_size tan tanh threshold topk trace tril tril_indices triu "
      "triu_indices true_divide trunc upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d "
      "upsample_nearest2d upsample_nearest3d upsample_trilinear3d var var_mean where xlogy zeros zeros_like");
  if (node.in_place()) return Sharing::kAlways;
  if (node.target.starts_with("_operator.")) return Sharing::kNever;
  // Of a name with its namespace: other namespaces' operators are not known.
  const std::string name = node.aten_name();
  return always.contains(name) ? Sharing::kAlways : never.contains(name) ? Sharing::kNever : Sharing::kByStrides;
}

/// Sets of names that grow together.
class Sets {
 public:
  std::string of(const std::string& name) {
    std::string root = name;
    for (auto next = parents_.find(root); next != parents_.end(); next = parents_.find(root)) root = next->second;
    return root;
  }
  void join(const std::string& a, const std::string& b) {
    const std::string root = of(a);
    if (const std::string other = of(b); other != root) parents_[other] = root;
  }

 private:
  std::map<std::string, std::string> parents_;
};

}  // namespace

bool may_share_memory(const Node& node) { return sharing(node) != Sharing::kNever; }

std::vector<AliasedWrite> aliased_writes(const Graph& graph) {
  constexpr std::size_t kNextRun = std::numeric_limits<std::size_t>::max();
  struct Life {
    std::size_t defined = 0;  // by this node, counted from 1; 0: given to the program
    std::size_t last_read = 0;
  };
  std::map<std::string, Life> lives;
  Sets sharing_always;
  Sets sharing_perhaps;
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    lives[input.value].last_read = input.kind == InputKind::kUserInput ? 0 : kNextRun;
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const std::string& read : node.tensors()) {
      std::size_t& last = lives[read].last_read;
      last = std::max(last, i + 1);
    }
    const Sharing kind = sharing(node);
    const std::vector<std::string> sources = node.in_place() ? std::vector{node.tensor("self")} : node.tensors();
    for (const std::string& result : node.results()) {
      lives[result].defined = i + 1;
      if (kind == Sharing::kNever) continue;
      for (const std::string& source : sources) {
        sharing_perhaps.join(source, result);
        if (kind == Sharing::kAlways) sharing_always.join(source, result);
      }
    }
  }
  for (const std::string& output : graph.outputs) lives[output].last_read = kNextRun;

  std::vector<AliasedWrite> writes;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.in_place()) continue;
    const std::string self = node.tensor("self");
    for (const auto& [name, life] : lives) {
      // A name that is defined later is made of one that is read later.
      if (life.defined > i || life.last_read <= i + 1 || (name == self && !state.contains(name))) continue;
      if (sharing_perhaps.of(name) != sharing_perhaps.of(self)) continue;
      writes.push_back({&node, name, sharing_always.of(name) != sharing_always.of(self)});
    }
  }
  return writes;
}

}  // namespace lockstep
