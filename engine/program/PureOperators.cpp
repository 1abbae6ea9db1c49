#include "engine/program/PureOperators.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Aliases.h"
#include "engine/program/Operators.h"

namespace lockstep {

namespace {

std::set<std::string> words(const std::string& text) {
  const std::vector<std::string> all = split(text, ' ');
  return {all.begin(), all.end()};
}

// Operators whose names begin with an underscore are PyTorch's own parts, which trust their callers about sizes. These
// are what torch.export writes for public functions, and check what they are given.
bool is_public(const std::string& name) {
  static const std::set<std::string> exported = words(
      "__and__ __iand__ __ilshift__ __ior__ __irshift__ __ixor__ __lshift__ __or__ __rshift__ __xor__ "
      "_adaptive_avg_pool2d _adaptive_avg_pool3d _assert_async _assert_scalar _assert_tensor_metadata _cast_Byte "
      "_cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short _conj _conj_physical "
      "_convolution "
      "_convolution_mode _functional_assert_async _functional_assert_scalar _functional_sym_constrain_range "
      "_functional_sym_constrain_range_for_size _fused_rms_norm _is_all_true _is_any_true _log_softmax _neg_view "
      "_prelu_kernel _safe_softmax _shape_as_tensor _softmax _to_copy "
      "_trilinear _unique _unique2 _unsafe_index _unsafe_index_put _unsafe_view _upsample_bicubic2d_aa "
      "_upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d "
      "_weight_norm "
      "_weight_norm_interface");
  return !name.starts_with('_') || exported.contains(name);
}

struct Family {
  std::set<std::string> names;
  std::vector<std::string_view> prefixes;
  std::vector<std::string_view> parts;  // anywhere in the name
  std::string_view reason;
};

constexpr std::string_view kTrusting = "it does not check the values it is given";

// What a schema does not tell.
const std::vector<Family>& refused_families() {
  static const std::vector<Family> families = {
      {words("from_file"), {}, {}, "it maps a file into memory, and may create or overwrite it"},
      {words("data lift pin_memory record_stream set set_ set_data slice_inverse"),
       {"retain", "requires_grad"},
       {"resize"},
       "it changes the storage of a tensor, or what autograd does with it"},
      {words("align_as align_tensors align_to refine_names rename rename_"), {}, {}, "it works on named dimensions"},
      {words("coalesce dense_dim hspmm indices smm sspaddmm to_mkldnn values"),
       {"ccol_", "col_indices", "crow_", "nested_", "row_indices", "to_padded"},
       {"sparse", "mkldnn"},
       "its tensors are not strided ones"},
      {words("choose_qparams_optimized dequantize int_repr empty_quantized"),
       {"fbgemm_", "q_", "quantize"},
       {},
       "its tensors are quantized"},
      {words("convolution_overrideable lstm_mps native_batch_norm output_nr"),
       {"batch_norm_", "cudnn_", "miopen_"},
       {"_backward", "_jvp", "slow_conv"},
       "it is a part of another operator, which checks its arguments"},
      {words("ctc_loss lu_solve linalg_lu_solve linalg_ldl_solve pdist segment_reduce"), {}, {}, kTrusting},
      {words("can_cast promote_types result_type"), {"is_"}, {}, "it does not compute tensors"},
      {words("random random_"), {}, {"polynomial"}, "its time grows with the values it is given, without an end"},
  };
  return families;
}

bool holds(const Family& family, const std::string& name) {
  const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
  const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  return family.names.contains(name) || std::ranges::any_of(family.prefixes, begins) ||
         std::ranges::any_of(family.parts, has);
}

bool is_plain(c10::TypePtr type) {
  for (;;) {
    if (const auto optional = type->cast<c10::OptionalType>()) {
      type = optional->getElementType();
    } else if (const auto list = type->cast<c10::ListType>()) {
      type = list->getElementType();
    } else {
      break;
    }
  }
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::NumberType:
    case c10::TypeKind::StringType:
    case c10::TypeKind::DeviceObjType:
    case c10::TypeKind::GeneratorType:
      return true;
    default:
      return false;
  }
}

// Why the operator may do more than compute, or "".
std::string impurity(const Node& node, const c10::OperatorHandle& handle) {
  const std::string name = node.aten_name();
  // Of repeat_interleave those that take numbers of repetitions, and believe what size they add up to.
  if (name == "repeat_interleave" && !node.target.ends_with(".self_int")) return std::string(kTrusting);
  if (name.empty()) return "it is not one of PyTorch's own (aten)";
  for (const Family& family : refused_families()) {
    if (holds(family, name)) return std::string(family.reason);
  }
  if (!is_public(name)) return "it is an inner part of PyTorch, which trusts its arguments";
  for (const c10::Argument& argument : handle.schema().arguments()) {
    if (!is_plain(argument.type())) return "it takes " + in_quotes(argument.name()) + ", a " + argument.type()->str();
    const bool written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
    if (written && !(node.in_place() && argument.name() == "self")) {
      return "it writes into its argument " + in_quotes(argument.name());
    }
  }
  for (const c10::Argument& returned : handle.schema().returns()) {
    if (!is_plain(returned.type())) return "it returns a " + returned.type()->str();
  }
  return "";
}

}  // namespace

void require_pure(const Graph& graph, const std::vector<std::string>& allowed) {
  constexpr std::string_view prefix = "torch.ops.";
  std::set<std::string> state;  // and what may be the same tensor
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  for (const Node& node : graph.nodes) {
    if (node.target.starts_with("torch.ops.lockstep.")) {  // passes put them in, and check first what they take
      throw InputError(describe(node) + " is not one of PyTorch's");
    }
    const auto handle = find_operator(node.target);
    if (!handle) continue;
    const std::string name = node.target.substr(prefix.size());
    const std::vector<std::string> read = node.tensors();
    const bool of_state = std::ranges::any_of(read, [&](const std::string& value) { return state.contains(value); });
    if (std::ranges::count(allowed, name) == 0) {
      std::string reason = impurity(node, *handle);
      if (reason.empty() && handle->hasTag(at::Tag::inplace_view) && state.contains(node.tensor("self"))) {
        reason = "it would change sizes or strides of a parameter, buffer or constant for all later steps";
      }
      if (!reason.empty()) {
        throw InputError(describe(node) + " is not run: " + reason +
                         ". A program may call operators that only compute tensors; if you trust this one, set the "
                         "hyperparameter allow_operators=" +
                         name);
      }
    }
    if (!of_state || !may_share_memory(node)) continue;
    for (const std::string& result : node.results()) state.insert(result);
  }
}

}  // namespace lockstep
