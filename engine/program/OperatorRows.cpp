#include "engine/program/OperatorRows.h"

#include "engine/program/MultiplyAdds.h"

namespace lockstep {

namespace {

constexpr std::string_view kStorage = "it changes the storage of a tensor, or what autograd does with it";
constexpr std::string_view kFile = "it maps a file into memory, and may create or overwrite it";
constexpr std::string_view kNamed = "it works on named dimensions";
constexpr std::string_view kNotStrided = "its tensors are not strided ones";
constexpr std::string_view kQuantized = "its tensors are quantized";
constexpr std::string_view kPart = "it is a part of another operator, which checks its arguments";
constexpr std::string_view kTrusting = "it does not check the values it is given";
constexpr std::string_view kNoTensors = "it does not compute tensors";
constexpr std::string_view kEndless = "its time grows with the values it is given, without an end";

// In inference the flag is off.
InferenceForm off(std::string_view flag) { return {.argument = flag, .value = false}; }

// The same, where running statistics can take the place of the batch's.
InferenceForm running(std::string_view flag) {
  return {.argument = flag, .value = false, .with_running_statistics = true};
}

}  // namespace

std::vector<OperatorRow> aten_operator_rows() {
  return {
      // New tensors, in about the time that it takes to read and write them.
      {"abs absolute addcdiv addcmul celu clamp clamp_max clamp_min clip copysign cos cosh deg2rad div divide erf "
       "erfc exp2 expm1 floor_divide fmax fmin fmod frac gelu glu group_norm hardshrink hardsigmoid hardswish "
       "hardtanh heaviside layer_norm leaky_relu lerp log log10 log1p log2 log_sigmoid logit masked_fill maximum "
       "minimum mish mul multiply nan_to_num native_group_norm native_layer_norm pow prelu rad2deg relu6 remainder "
       "rms_norm selu silu sin sinc sinh softplus softshrink square tan threshold tril triu true_divide where "
       "xlogy",
       {.sharing = Sharing::kNever, .again = Again::kCheap}},
      {"relu sigmoid tanh softmax log_softmax exp sqrt rsqrt reciprocal elu",
       {.sharing = Sharing::kNever, .again = Again::kCheap, .saves = Saves::kResults}},
      {"add bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor cat concat "
       "concatenate constant_pad_nd empty empty_like eq eye flip floor full full_like ge greater greater_equal gt "
       "isfinite isinf isnan le less less_equal lift_fresh_copy logical_and logical_not logical_or logical_xor lt "
       "ne neg negative new_empty new_full new_ones new_zeros not_equal ones ones_like pad repeat roll round rsub "
       "scalar_tensor sign stack sub subtract tile trunc ceil zeros zeros_like",
       {.sharing = Sharing::kNever, .again = Again::kCheap, .saves = Saves::kNothing}},
      // New tensors.
      {"acos acosh adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d addr all allclose amax "
       "amin aminmax any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort asin "
       "asinh atan atan2 atanh avg_pool1d avg_pool2d avg_pool3d binary_cross_entropy "
       "binary_cross_entropy_with_logits bucketize cdist col2im complex cosine_similarity count_nonzero "
       "cross cross_entropy_loss cummax cummin cumprod diag_embed diff digamma erfinv fft_fft fft_fft2 "
       "fft_fftn fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_irfft fft_irfft2 fft_irfftn fft_rfft "
       "fft_rfft2 fft_rfftn gather grid_sampler grid_sampler_2d grid_sampler_3d huber_loss hypot im2col index "
       "index_copy index_fill index_select kl_div kron l1_loss linalg_norm "
       "linalg_vector_norm linspace logaddexp logaddexp2 logcumsumexp logsumexp masked_scatter "
       "masked_select max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d median min mse_loss nll_loss "
       "nll_loss_nd nonzero norm outer prod reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
       "replication_pad2d replication_pad3d rot90 scatter searchsorted select_scatter "
       "size slice_scatter smooth_l1_loss sort std std_mean sym_numel sym_size topk trace tril_indices "
       "triu_indices upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d "
       "upsample_nearest2d upsample_nearest3d upsample_trilinear3d var var_mean",
       {.sharing = Sharing::kNever, .again = Again::kDear}},
      // Several threads may add to one element, in an order of their own: never twice to the same bits.
      {"bincount cumsum index_add index_put scatter_add scatter_reduce", {.sharing = Sharing::kNever}},
      {"adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d mean sum",
       {.sharing = Sharing::kNever, .again = Again::kDear, .saves = Saves::kNothing}},
      // Views, or the input itself.
      {"adjoint as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to chunk conj diagonal "
       "dsplit hsplit imag lift_fresh linalg_diagonal mH mT matrix_H moveaxis movedim narrow numpy_T positive real "
       "resolve_conj resolve_neg split split_with_sizes swapaxes swapdims t tensor_split unbind unfold unsafe_chunk "
       "unsafe_split unsafe_split_with_sizes view_as_complex view_as_real vsplit",
       {.sharing = Sharing::kAlways, .again = Again::kCheap}},
      {"expand_as type_as", {.sharing = Sharing::kAlways, .shared_input = "self", .again = Again::kCheap}},
      // The elements of `self` in another order, in another type, or some of them.
      {"alias detach expand permute squeeze transpose unsqueeze",
       {.sharing = Sharing::kAlways, .again = Again::kCheap, .keeps = Keeps::kAll}},
      {"select slice", {.sharing = Sharing::kAlways, .again = Again::kCheap, .keeps = Keeps::kSome}},
      {"to", {.sharing = Sharing::kAlways, .shared_input = "self", .again = Again::kCheap, .keeps = Keeps::kAll}},
      {"contiguous flatten reshape view", {.again = Again::kCheap, .keeps = Keeps::kAll}},
      {"clone", {.sharing = Sharing::kNever, .again = Again::kCheap, .keeps = Keeps::kAll}},
      {"_to_copy",
       {.sharing = Sharing::kNever, .again = Again::kCheap, .keeps = Keeps::kAll, .checks_arguments = true}},
      // What torch.export writes for public functions.
      {"__and__ __lshift__ __or__ __rshift__ __xor__ _assert_async _assert_scalar _assert_tensor_metadata "
       "_convolution _is_all_true _is_any_true _log_softmax _safe_softmax _shape_as_tensor _softmax _unsafe_index "
       "_unsafe_index_put _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d "
       "_upsample_nearest_exact2d _upsample_nearest_exact3d",
       {.sharing = Sharing::kNever, .again = Again::kDear, .checks_arguments = true}},
      {"__iand__ __ilshift__ __ior__ __irshift__ __ixor__ _adaptive_avg_pool2d _adaptive_avg_pool3d _cast_Byte "
       "_cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short _conj _conj_physical "
       "_convolution_mode _functional_assert_async _functional_assert_scalar _functional_sym_constrain_range "
       "_functional_sym_constrain_range_for_size _fused_rms_norm _neg_view _prelu_kernel _trilinear _unique _unique2 "
       "_unsafe_view _weight_norm _weight_norm_interface",
       {.again = Again::kDear, .checks_arguments = true}},
      // Products.
      {"linear", {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_linear}},
      {"bmm dot inner matmul mm mv",
       {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_product}},
      {"vdot", {.multiply_adds = multiply_adds_of_product}},
      {"addmm addmv baddbmm",
       {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_added_product}},
      {"addbmm", {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_added_batch}},
      {"tensordot", {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_tensordot}},
      {"einsum", {.multiply_adds = multiply_adds_of_einsum}},
      {"bilinear", {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_bilinear}},
      {"conv1d conv2d conv3d convolution",
       {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_convolution}},
      {"conv_transpose1d conv_transpose2d conv_transpose3d",
       {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_transposed_convolution}},
      {"scaled_dot_product_attention",
       {.sharing = Sharing::kNever,
        .random = true,
        .again = Again::kDear,
        .saves = Saves::kBoth,
        .inference = InferenceForm{.argument = "dropout_p", .value = 0.0, .in_training_too = true},
        .multiply_adds = multiply_adds_of_attention}},
      // Tables.
      {"embedding embedding_bag",
       {.sharing = Sharing::kNever,
        .again = Again::kDear,
        .bound = IntegerBound{.input = "indices", .table = "weight"}}},
      {"one_hot",
       {.sharing = Sharing::kNever,
        .again = Again::kDear,
        .bound = IntegerBound{.input = "self", .argument = "num_classes"}}},
      // Dropout.
      {"alpha_dropout dropout feature_alpha_dropout feature_dropout",
       {.sharing = Sharing::kAlways, .random = true, .again = Again::kCheap, .inference = off("train")}},
      {"alpha_dropout_ dropout_ feature_alpha_dropout_ feature_dropout_",
       {.random = true, .again = Again::kCheap, .inference = off("train")}},
      {"native_dropout",
       {.sharing = Sharing::kNever, .random = true, .again = Again::kCheap, .inference = off("train")}},
      {"rrelu rrelu_", {.random = true, .again = Again::kCheap, .inference = off("training")}},
      // Recurrent layers, which drop between their layers.
      {"gru rnn_relu rnn_tanh",
       {.sharing = Sharing::kNever,
        .random = true,
        .inference = off("train"),
        .multiply_adds = multiply_adds_of_recurrent_layers}},
      {"lstm",
       {.sharing = Sharing::kNever,
        .random = true,
        .inference = off("train"),
        .multiply_adds = multiply_adds_of_recurrent_layers,
        .misstated_results = 1}},
      {"lstm_cell",
       {.sharing = Sharing::kNever, .again = Again::kDear, .multiply_adds = multiply_adds_of_recurrent_cell}},
      {"gru_cell rnn_relu_cell rnn_tanh_cell", {.multiply_adds = multiply_adds_of_recurrent_cell}},
      // Normalization by the statistics of a batch.
      {"batch_norm",
       {.sharing = Sharing::kNever,
        .again = Again::kCheap,
        .inference = running("training"),
        .statistics = StatisticsForm{.flag = "training"}}},
      {"_batch_norm_impl_index _native_batch_norm_legit _native_batch_norm_legit_functional cudnn_batch_norm "
       "miopen_batch_norm",
       {.inference = running("training"), .statistics = StatisticsForm{.flag = "training"}}},
      {"native_batch_norm",
       {.inference = running("training"), .statistics = StatisticsForm{.flag = "training"}, .refusal = kPart}},
      {"_batch_norm_with_update",
       {.inference = InferenceForm{.replacement = "_batch_norm_no_update"}, .statistics = StatisticsForm{}}},
      {"_batch_norm_with_update_functional", {.statistics = StatisticsForm{}}},
      {"instance_norm",
       {.sharing = Sharing::kNever,
        .again = Again::kCheap,
        .inference = running("use_input_stats"),
        .statistics = StatisticsForm{.flag = "use_input_stats", .over_batch = false}}},
      // Random numbers.
      {"bernoulli multinomial normal rand rand_like randint randint_like randn randn_like randperm",
       {.sharing = Sharing::kNever, .random = true, .again = Again::kCheap}},
      {"bernoulli_ cauchy_ exponential_ geometric_ log_normal_ normal_ uniform_",
       {.random = true, .again = Again::kCheap}},
      {"binomial cauchy exponential geometric log_normal miopen_rnn normal_functional poisson rrelu_with_noise "
       "rrelu_with_noise_ rrelu_with_noise_functional uniform",
       {.random = true}},
      // What a program of a stranger may not call, though its schema does not say why.
      {"random random_", {.random = true, .refusal = kEndless}},
      {"ctc_loss", {.sharing = Sharing::kNever, .refusal = kTrusting}},
      {"linalg_ldl_solve linalg_lu_solve lu_solve pdist segment_reduce", {.refusal = kTrusting}},
      // The other overloads take numbers of repetitions, and believe what they add up to.
      {"repeat_interleave", {.refusal = kTrusting, .safe_overload = "self_int"}},
      {"data lift pin_memory record_stream set set_ set_data slice_inverse", {.refusal = kStorage}},
      {"from_file", {.refusal = kFile}},
      {"align_as align_tensors align_to refine_names rename rename_", {.refusal = kNamed}},
      {"coalesce dense_dim hspmm indices smm sspaddmm to_mkldnn values", {.refusal = kNotStrided}},
      {"choose_qparams_optimized dequantize empty_quantized int_repr", {.refusal = kQuantized}},
      {"convolution_overrideable output_nr", {.refusal = kPart}},
      {"can_cast promote_types result_type", {.refusal = kNoTensors}},
  };
}

}  // namespace lockstep
