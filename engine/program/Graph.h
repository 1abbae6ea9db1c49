// The graph of a torch.export program as values: what a .pt2 archive's model.json says, no tensor and no torch.
//
// Kinds of arguments that no training operator uses (sub-graphs, custom objects, symbolic floats) are kept as they are
// and refused when the graph is run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lockstep {

struct NoneArgument {
  bool operator==(const NoneArgument&) const = default;
};
/// A tensor by the name of the value that holds it.
struct TensorName {
  std::string name;
  bool operator==(const TensorName&) const = default;
};
/// A list of tensors; an entry without a name is None.
struct TensorNames {
  std::vector<std::optional<std::string>> names;
  bool optional_entries = false;  ///< written as `as_optional_tensors`
  bool operator==(const TensorNames&) const = default;
};
/// An integer known now, or the name of one known at run time (`sym_size_int_2`).
using SymInt = std::variant<std::int64_t, std::string>;
struct ScalarTypeNumber {
  int value;  ///< numbered by the archive, not by c10: 7 is float32
  bool operator==(const ScalarTypeNumber&) const = default;
};
struct LayoutNumber {
  int value;  ///< 7 is strided
  bool operator==(const LayoutNumber&) const = default;
};
struct MemoryFormatNumber {
  int value;  ///< 1 contiguous, 2 channels last, 3 channels last 3d, 4 preserve
  bool operator==(const MemoryFormatNumber&) const = default;
};
struct DeviceArgument {
  std::string type;
  std::optional<std::int64_t> index;
  bool operator==(const DeviceArgument&) const = default;
};
/// A kind we keep but cannot run.
struct OpaqueArgument {
  nlohmann::json json;
  bool operator==(const OpaqueArgument&) const = default;
};

using Argument =
    std::variant<NoneArgument, TensorName, TensorNames, std::int64_t, double, bool, std::string,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<bool>, SymInt, std::vector<SymInt>,
                 ScalarTypeNumber, LayoutNumber, MemoryFormatNumber, DeviceArgument, OpaqueArgument>;

struct NamedArgument {
  std::string name;  ///< as in the operator's schema; "" for `_operator.*`
  Argument value;
  bool keyword = false;
};

/// One operator call.
struct Node {
  std::string target;  ///< `torch.ops.aten.conv2d.default`, `_operator.mul`
  std::vector<NamedArgument> inputs;
  std::vector<Argument> outputs;
  nlohmann::json metadata = nlohmann::json::object();  ///< stack_trace, nn_module_stack, torch_fn: texts
  std::string name;
  bool gradients = true;  ///< false: autograd does not record it, as under torch.no_grad
  bool autocast = true;   ///< false: it computes in the types that it is given, as under torch.autocast(enabled=False)

  /// The name of the ATen operator, without overload (`conv2d`), or "" for anything else.
  std::string aten_name() const;
  const Argument* find(std::string_view argument) const;
  /// Sets an argument, adding it by keyword when the node left it to its default.
  void set(std::string_view argument, Argument value);
  /// Whether the operator writes into its `self`: add_ and __iand__, but not __and__.
  bool in_place() const;
  /// Whether it only states what the exporter found of a tensor: its type, device, sizes.
  bool asserts_metadata() const;
  /// The name of the tensor in this argument, or "" when it holds none.
  std::string tensor(std::string_view argument) const;
  /// The names of all tensors it reads, in order; a list's None is left out.
  std::vector<std::string> tensors() const;
  /// The name of the one tensor it returns, or "" when it returns something else.
  std::string output() const;
  /// The names of all tensors it returns.
  std::vector<std::string> results() const;
  /// The user's source line, the innermost that the archive recorded, or "" when there is none.
  std::string source_line() const;
};

/// " (File "model.py", line 7, in forward)", or "" when the archive recorded no line: to end a message with.
std::string at_source_line(const Node& node);

/// "operator torch.ops.aten.add_.Tensor (File "model.py", line 7, in forward)", for errors.
std::string describe(const Node& node);

/// One dimension: a size, or the name of a symbol (`s77`) whose size is known at run time.
using Dimension = std::variant<std::int64_t, std::string>;

enum class InputKind { kParameter, kBuffer, kConstant, kUserInput };

/// What a graph input is bound to.
struct GraphInput {
  InputKind kind = InputKind::kUserInput;
  std::string value;       ///< its name inside the graph: `p_fc_weight`, `x`
  std::string state_name;  ///< parameter, buffer or constant: its dotted name (`fc.weight`)
  bool persistent = true;  ///< buffers: part of the state dict
};

/// An argument of the exported forward, or something that it returned, that is no tensor: None, a number, a text. The
/// graph holds what the exporter saw of it, so that no run needs it.
struct FixedEntry {
  std::size_t position;          ///< among all inputs, or all outputs
  nlohmann::json specification;  ///< in the signature
  nlohmann::json value;          ///< in the graph

  /// What an argument is called; "" where the archive does not say.
  std::string name() const;
};

struct Graph {
  std::vector<GraphInput> inputs;    ///< in the order the graph lists them
  std::vector<std::string> outputs;  ///< names of tensors
  std::vector<Node> nodes;
  std::vector<FixedEntry> fixed_inputs{};  ///< in ascending positions
  std::vector<FixedEntry> fixed_outputs{};
  /// model.json without what the fields above hold: tensor values, module calls, versions. The functions below read and
  /// change it; nothing but GraphFormat and what makes a graph knows how it is made up.
  nlohmann::json document;

  /// Sizes of a value as the exporter saw it; throws InputError for a value that has no entry.
  std::vector<Dimension> sizes(const std::string& value) const;
  /// The same, or nothing for a value that has no entry.
  std::optional<std::vector<Dimension>> find_sizes(const std::string& value) const;
  /// The same for the exporter's example inputs: a symbol has the size that it had there.
  std::vector<std::int64_t> example_sizes(const std::string& value) const;
  int scalar_type(const std::string& value) const;
  bool requires_grad(const std::string& value) const;
  /// The graph no longer says anything of a value, which is gone.
  void forget(const std::string& value);
  /// The graph says of `value` what it says of `other`: sizes, type and the rest. Throws InputError for an `other` that
  /// has no entry.
  void describe_as(const std::string& value, const std::string& other);
  /// The same, but of another element type and with dimension `order[i]` of the other as dimension i.
  void describe_as(const std::string& value, const std::string& other, int type, const std::vector<std::size_t>& order);
  /// The graph says of `value` that it is of these sizes, row-major, and needs no gradient.
  void describe(const std::string& value, int type, const std::vector<std::int64_t>& sizes);
  /// What it returns is a dictionary of these keys, one for each of `outputs`, and nothing besides.
  void name_outputs(const std::vector<std::string>& names);
  /// Values of element type `from` become values of type `to`; types are numbered as the archive does.
  void retype(int from, int to);
  std::vector<const GraphInput*> user_inputs() const;
  /// What each of `outputs` is called: by the keys of the dictionary, or the fields of the dataclass, that the forward
  /// returned, `logits`; within another, `hidden_states.0`. What has no name is called by its place: `output_0`.
  std::vector<std::string> output_names() const;
};

}  // namespace lockstep
