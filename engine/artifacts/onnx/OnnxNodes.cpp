// What each operator of ONNX means. Source: Operators.md of ONNX, operator set kOnnxOpset.
#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/onnx/OnnxNames.h"
#include "engine/artifacts/onnx/OnnxReader.h"
#include "engine/artifacts/onnx/OnnxTypes.h"
#include "engine/artifacts/primitives/PrimitiveTerm.h"

namespace lockstep {

namespace {

/// A node, whose every attribute must have been asked for in the end.
class Call {
 public:
  Call(OnnxReader& reader, const onnx::NodeProto& node) : reader_(reader), node_(node) {}

  const std::string& op() const { return node_.op_type(); }
  OnnxReader& reader() const { return reader_; }
  PrimitiveBuilder& builder() const { return reader_.builder(); }
  std::size_t inputs() const { return static_cast<std::size_t>(node_.input_size()); }
  Term x(std::size_t i = 0) const { return {builder(), reader_.value(input(i))}; }
  std::vector<Term> all() const {
    std::vector<Term> terms;
    for (std::size_t i = 0; i < inputs(); ++i) terms.push_back(x(i));
    return terms;
  }
  const Integers& elements(std::size_t i) const { return reader_.elements(input(i)); }
  bool has_elements(std::size_t i) const { return reader_.find_elements(input(i)) != nullptr; }
  Integer element(std::size_t i) const {
    if (elements(i).size() != 1) throw InputError(in_quotes(input(i)) + " has not one element");
    return elements(i)[0];
  }
  std::int64_t known_element(std::size_t i) const {
    if (elements(i).size() != 1) throw InputError(in_quotes(input(i)) + " has not one element");
    return known(i)[0];
  }
  double number(std::size_t i) const { return reader_.number(input(i)); }  ///< a constant scalar
  std::int64_t scalar_integer(std::size_t i) const {
    if (x(i).type() != ElementType::kInt64) throw InputError(in_quotes(input(i)) + " is no integer");
    return static_cast<std::int64_t>(number(i));
  }
  Ints known(std::size_t i) const {
    Ints numbers;
    for (const Integer& each : elements(i)) {
      if (!std::holds_alternative<std::int64_t>(each)) throw InputError(in_quotes(input(i)) + " is not known");
      numbers.push_back(std::get<std::int64_t>(each));
    }
    return numbers;
  }

  std::int64_t integer(const std::string& name, std::int64_t otherwise) {
    const onnx::AttributeProto* given = find(name, onnx::AttributeProto::INT);
    return given ? given->i() : otherwise;
  }
  std::int64_t integer(const std::string& name) { return get(name, onnx::AttributeProto::INT).i(); }
  float real(const std::string& name) { return get(name, onnx::AttributeProto::FLOAT).f(); }
  std::string text(const std::string& name) { return get(name, onnx::AttributeProto::STRING).s(); }
  Ints integers(const std::string& name) {
    const auto& found = get(name, onnx::AttributeProto::INTS).ints();
    return {found.begin(), found.end()};
  }
  const onnx::TensorProto& tensor(const std::string& name) { return get(name, onnx::AttributeProto::TENSOR).t(); }
  void require(const std::string& name, std::int64_t value) {
    if (integer(name, value) != value) throw InputError("its " + name + " is none that Lockstep writes");
  }
  /// A dimension of input 0, counted from the front.
  std::size_t dim(std::int64_t axis) const {
    const auto rank = static_cast<std::int64_t>(x().rank());
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) throw InputError("its input does not have that dimension");
    return static_cast<std::size_t>(axis);
  }
  std::size_t axis() { return dim(integer("axis")); }

  /// Output `i`.
  void returns(const Term& term, int i = 0) {
    if (i < node_.output_size()) reader_.name(node_.output(i), term.id());
  }
  void returns_elements(Integers elements) {
    if (node_.output_size() > 0) reader_.name_elements(node_.output(0), std::move(elements));
  }
  void returns_number(double number) {
    if (node_.output_size() > 0) reader_.name_number(node_.output(0), number);
  }
  void adds(primitive::Operation operation, const std::vector<Term>& inputs) {
    returns(perform(std::move(operation), inputs));
  }
  void require_all_read() const {
    for (const onnx::AttributeProto& attribute : node_.attribute()) {
      if (!read_.contains(attribute.name())) {
        throw InputError("it has an attribute " + in_quotes(attribute.name()) + " that Lockstep does not write");
      }
    }
  }

 private:
  const std::string& input(std::size_t i) const {
    if (i >= inputs()) throw InputError("it lacks an input");
    return node_.input(static_cast<int>(i));
  }
  const onnx::AttributeProto* find(const std::string& name, onnx::AttributeProto::AttributeType type) {
    read_.insert(name);
    for (const onnx::AttributeProto& attribute : node_.attribute()) {
      if (attribute.name() != name) continue;
      if (attribute.type() != type) throw InputError("its attribute " + name + " is of another kind");
      return &attribute;
    }
    return nullptr;
  }
  const onnx::AttributeProto& get(const std::string& name, onnx::AttributeProto::AttributeType type) {
    const onnx::AttributeProto* found = find(name, type);
    if (!found) throw InputError("it lacks the attribute " + name);
    return *found;
  }

  OnnxReader& reader_;
  const onnx::NodeProto& node_;
  std::set<std::string> read_;
};

Term sign(const Term& x) { return unary(primitive::Unary::Kind::kSign, x); }
Term absolute(const Term& x) { return unary(primitive::Unary::Kind::kAbsolute, x); }

void divide(Call& call) {
  const Term a = call.x(0);
  const Term b = call.x(1);
  if (is_real(a.type())) return call.returns(a / b);
  // Toward zero.
  const Term quotient = binary(primitive::Binary::Kind::kFloorDivide, absolute(a), absolute(b));
  call.returns(sign(a) * sign(b) * quotient);
}

void modulo(Call& call) {
  const auto remainder = [](const Term& a, const Term& b) { return binary(primitive::Binary::Kind::kRemainder, a, b); };
  const bool truncated = call.integer("fmod", 0) != 0;
  const Term a = call.x(0);
  const Term b = call.x(1);
  if (!truncated && is_real(a.type())) throw InputError("floating-point numbers have a remainder with fmod only");
  call.returns(truncated ? sign(a) * remainder(absolute(a), absolute(b)) : remainder(a, b));
}

template <typename T>
double first_of(const std::string& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return static_cast<double>(value);
}

// Nothing for types whose numbers no operator of ours asks for.
std::optional<double> number_of(const primitive::Constant& scalar) {
  switch (scalar.type) {
    case ElementType::kDouble:
      return first_of<double>(scalar.bytes);
    case ElementType::kFloat:
      return first_of<float>(scalar.bytes);
    case ElementType::kInt64:
      return first_of<std::int64_t>(scalar.bytes);
    case ElementType::kInt32:
      return first_of<std::int32_t>(scalar.bytes);
    case ElementType::kBool:
    case ElementType::kUint8:
      return first_of<std::uint8_t>(scalar.bytes);
    default:
      return std::nullopt;
  }
}

void constant(Call& call) {
  const onnx::TensorProto& tensor = call.tensor("value");
  if (tensor.data_location() != onnx::TensorProto::DEFAULT) throw InputError("its data is not in it");
  primitive::Constant value{
      from_onnx(tensor.data_type()), {tensor.dims().begin(), tensor.dims().end()}, tensor.raw_data()};
  if (std::ranges::any_of(value.sizes, [](std::int64_t size) { return size < 0; })) {
    throw InputError("it has a negative size");
  }
  const Term made{call.builder(), call.builder().constant(value)};
  call.returns(made);
  const auto number = value.sizes.empty() ? number_of(value) : std::nullopt;
  if (number) call.returns_number(*number);
  if (value.type != ElementType::kInt64 || value.sizes.size() != 1) return;
  Ints numbers(static_cast<std::size_t>(value.sizes[0]));
  if (!numbers.empty()) std::memcpy(numbers.data(), value.bytes.data(), value.bytes.size());
  call.returns_elements({numbers.begin(), numbers.end()});
}

Term vector_of(PrimitiveBuilder& builder, const Integers& elements) {
  std::vector<Term> parts;
  for (const Integer& each : elements) parts.push_back(reshape(scalar(builder, each), {std::int64_t{1}}));
  return parts.empty() ? vector_of(builder, Ints{}) : concatenate(parts, 0);
}

void shape(Call& call) {
  const auto rank = static_cast<std::int64_t>(call.x().rank());
  const auto place = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const std::int64_t start = place(call.integer("start", 0));
  const std::int64_t end = place(call.integer("end", rank));
  Integers sizes;
  for (std::int64_t i = start; i < end; ++i) sizes.push_back(call.x().size(static_cast<std::size_t>(i)));
  call.returns(vector_of(call.builder(), sizes));
  call.returns_elements(std::move(sizes));
}

void concatenated(Call& call) {
  const std::vector<Term> parts = call.all();
  const std::size_t dim = call.axis();
  call.returns(concatenate(parts, dim));
  if (parts[0].type() != ElementType::kInt64 || parts[0].rank() != 1) return;
  Integers elements;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!call.has_elements(i)) return;
    elements.insert(elements.end(), call.elements(i).begin(), call.elements(i).end());
  }
  call.returns_elements(std::move(elements));
}

// A dimension of size 1 goes, or comes. Of vectors of one element and of scalars, what is known stays known.
void squeezed(Call& call) {
  const Ints dims = call.known(1);
  if (dims == Ints{0} && call.has_elements(0)) return call.returns(scalar(call.builder(), call.element(0)));
  call.returns(squeeze(call.x(), dims));
}

void unsqueezed(Call& call) {
  const Term x = call.x();
  call.adds(primitive::Unsqueeze{call.known(1)}, {x});
  if (x.type() == ElementType::kInt64 && x.rank() == 0) call.returns_elements({x.id()});
}

void reshaped(Call& call) {
  Integers sizes = call.elements(1);
  const bool allow_zero = call.integer("allowzero", 0) != 0;
  for (std::size_t i = 0; i < sizes.size() && !allow_zero; ++i) {
    if (sizes[i] == Integer(std::int64_t{0})) sizes[i] = call.x().size(call.dim(static_cast<std::int64_t>(i)));
  }
  call.returns(reshape(call.x(), std::move(sizes)));
}

void expanded(Call& call) {
  Integers sizes = call.elements(1);
  const Integers own = call.x().all_sizes();
  if (sizes.size() < own.size()) sizes.insert(sizes.begin(), own.size() - sizes.size(), std::int64_t{1});
  for (std::size_t i = 1; i <= own.size(); ++i) {
    Integer& size = sizes[sizes.size() - i];
    if (size == Integer(std::int64_t{1})) size = own[own.size() - i];
  }
  call.returns(broadcast(call.x(), sizes));
}

void sliced(Call& call) {
  const std::size_t dim = call.dim(call.known_element(3));
  const std::int64_t step = call.known_element(4);
  const Integer start = call.element(1);
  const Integer end = call.element(2);
  if (step > 0) return call.returns(slice(call.x(), dim, start, end, step));
  const bool whole =
      step == -1 && start == Integer(std::int64_t{-1}) && end == Integer(std::numeric_limits<std::int64_t>::min());
  if (!whole) throw InputError("it goes backward over a part");
  call.adds(primitive::Reverse{dim}, {call.x()});
}

void padded(Call& call) {
  const Ints pads = call.known(1);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(pads.size() / 2);
  call.adds(primitive::Pad{{pads.begin(), middle}, {middle, pads.end()}, call.number(2)}, {call.x()});
}

primitive::Window window(Call& call) {
  const Ints pads = call.integers("pads");
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(pads.size() / 2);
  return {.size = call.integers("kernel_shape"),
          .stride = call.integers("strides"),
          .before = {pads.begin(), middle},
          .after = {middle, pads.end()},
          .dilation = call.integers("dilations")};
}

// What a weight [out, in, ...] is over.
void require_kernel(const Call& call, const primitive::Window& window) {
  const std::vector<Dimension> sizes = call.x(1).sizes();
  for (std::size_t i = 0; i < window.size.size(); ++i) {
    if (i + 2 >= sizes.size() || sizes[i + 2] != Dimension(window.size[i])) {
      throw InputError("its kernel_shape is not that of its weight");
    }
  }
}

void convolution(Call& call) {
  primitive::Convolution made{window(call), call.integer("group")};
  require_kernel(call, made.window);
  call.adds(std::move(made), call.all());
}

void transposed_convolution(Call& call) {
  primitive::TransposedConvolution made{window(call), call.integers("output_padding"), call.integer("group")};
  require_kernel(call, made.window);
  call.adds(std::move(made), call.all());
}

void resized(Call& call) {
  const std::string mode = call.text("mode");
  const std::string places = call.text("coordinate_transformation_mode");
  primitive::Resize made{};
  if (mode == "nearest" && places == "asymmetric" && call.text("nearest_mode") == "floor") {
    made.kind = primitive::Resize::Kind::kNearest;
  } else if (mode == "linear" && (places == "half_pixel" || places == "align_corners")) {
    made.kind = primitive::Resize::Kind::kLinear;
    made.align_corners = places == "align_corners";
  } else {
    throw InputError("its mode is none that Lockstep writes");
  }
  const Integers& sizes = call.elements(3);
  const Integers own = call.x().all_sizes();
  if (sizes.size() != own.size() || own.size() < 3 || sizes[0] != own[0] || sizes[1] != own[1]) {
    throw InputError("it resizes other dimensions than those of an image");
  }
  made.sizes = {sizes.begin() + 2, sizes.end()};
  call.adds(std::move(made), {call.x()});
}

void reduced(Call& call) {
  using Kind = primitive::Reduce::Kind;
  Kind kind = *find_onnx_name(onnx_reductions(), call.op());
  if (call.x().type() == ElementType::kBool) kind = kind == Kind::kMax ? Kind::kAny : Kind::kAll;
  call.adds(primitive::Reduce{kind, call.known(1), call.integer("keepdims") != 0}, {call.x()});
}

void pooled_whole(Call& call) {
  Ints dims;
  for (std::size_t i = 2; i < call.x().rank(); ++i) dims.push_back(static_cast<std::int64_t>(i));
  call.adds(primitive::Reduce{primitive::Reduce::Kind::kMean, dims, true}, {call.x()});
}

void largest(Call& call) {
  const bool keep = call.integer("keepdims") != 0;
  call.adds(primitive::ArgReduce{call.op() == "ArgMax", call.axis(), keep}, {call.x()});
}

void top(Call& call) {
  const primitive::TopK made{call.element(1), call.axis(), call.integer("largest") != 0};
  const std::vector<ValueId> outputs = call.builder().add(made, {call.x().id()});
  call.returns({call.builder(), outputs.at(0)}, 0);
  call.returns({call.builder(), outputs.at(1)}, 1);
}

void clipped(Call& call) { call.returns(minimum(maximum(call.x(0), call.x(1)), call.x(2))); }

void hard_sigmoid(Call& call) {
  const Term line = call.x() * static_cast<double>(call.real("alpha")) + static_cast<double>(call.real("beta"));
  call.returns(minimum(maximum(line, number_like(line, 0.0)), number_like(line, 1.0)));
}

void layer_norm(Call& call) {
  const std::int64_t dims = -call.integer("axis");
  if (dims < 1) throw InputError("its axis is not counted from the end");
  call.adds(primitive::LayerNorm{static_cast<std::size_t>(dims), call.real("epsilon")}, call.all());
}

void gelu(Call& call) {
  const std::string approximate = call.text("approximate");
  if (approximate != "none" && approximate != "tanh") throw InputError("its approximation is unknown");
  call.adds(primitive::Gelu{approximate == "tanh"}, {call.x()});
}

void gemm(Call& call) {
  if (call.integer("transB") != 1) throw InputError("its second matrix is not transposed");
  if (call.x().rank() != 2) throw InputError("it is not of matrices");
  call.adds(primitive::Linear{}, call.all());
}

// ONNX has other orders of gates than PyTorch, and one dimension more: that of directions.
void recurrent(Call& call) {
  const bool lstm = call.op() == "LSTM";
  if (!lstm) call.require("linear_before_reset", 1);
  const std::string direction = call.text("direction");
  if (direction != "forward" && direction != "reverse") throw InputError("it has two directions");
  const Term order = vector_of(call.builder(), lstm ? Ints{0, 2, 3, 1} : Ints{1, 0, 2});
  const std::int64_t width = call.integer("hidden_size");
  const std::int64_t gates = lstm ? 4 : 3;
  const auto weight = [&](const Term& given) {
    const Integer inner = given.size(2);
    return reshape(gather(reshape(given, {gates, width, inner}), order, 0), {gates * width, inner});
  };
  const Term biases = gather(reshape(call.x(3), {std::int64_t{2}, gates, width}), order, 1);
  const auto bias = [&](std::int64_t i) { return reshape(entry(biases, 0, i), {gates * width}); };
  std::vector<Term> inputs = {call.x(0), weight(call.x(1)), weight(call.x(2)),
                              bias(0),   bias(1),           squeeze(call.x(5), {0})};
  if (lstm) inputs.push_back(squeeze(call.x(6), {0}));
  std::vector<ValueId> ids;
  for (const Term& input : inputs) ids.push_back(input.id());
  using Kind = primitive::Recurrent::Kind;
  const std::vector<ValueId> outputs =
      call.builder().add(primitive::Recurrent{lstm ? Kind::kLstm : Kind::kGru, direction == "reverse"}, std::move(ids));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    call.returns(unsqueeze({call.builder(), outputs[i]}, i == 0 ? 1 : 0), static_cast<int>(i));
  }
}

void dequantized(Call& call) {
  const Term x = call.x(0);
  const Term scale = call.x(1);
  const std::size_t axis = call.axis();
  if (scale.rank() != 1 || axis >= x.rank() || scale.sizes() != std::vector{x.sizes()[axis]}) {
    throw InputError("its scale is not one for each entry of a dimension");
  }
  Term wide = scale;
  for (std::size_t dim = 0; dim < x.rank(); ++dim) {
    if (dim != axis) wide = unsqueeze(wide, dim);
  }
  call.returns(cast(x, scale.type()) * wide);
}

using ReadNode = std::function<void(Call&)>;

const std::map<std::string, ReadNode>& operators() {
  static const std::map<std::string, ReadNode> table = {
      {"Div", divide},
      {"Mod", modulo},
      {"Where", [](Call& call) { call.adds(primitive::Select{}, call.all()); }},
      {"Cast", [](Call& call) { call.returns(cast(call.x(), from_onnx(static_cast<int>(call.integer("to"))))); }},
      {"DequantizeLinear", dequantized},
      {"Identity", [](Call& call) { call.returns(call.x()); }},
      {"Constant", constant},
      {"Shape", shape},
      {"Range", [](Call& call) { call.adds(primitive::Range{}, call.all()); }},
      {"Squeeze", squeezed},
      {"Unsqueeze", unsqueezed},
      {"Reshape", reshaped},
      {"Expand", expanded},
      {"Transpose", [](Call& call) { call.adds(primitive::Transpose{call.integers("perm")}, {call.x()}); }},
      {"Slice", sliced},
      {"Concat", concatenated},
      {"Pad", padded},
      {"Gather", [](Call& call) { call.adds(primitive::Gather{call.axis()}, call.all()); }},
      {"GatherElements", [](Call& call) { call.adds(primitive::GatherElements{call.axis()}, call.all()); }},
      {"MatMul", [](Call& call) { call.adds(primitive::MatrixMultiply{}, call.all()); }},
      {"Gemm", gemm},
      {"Conv", convolution},
      {"ConvTranspose", transposed_convolution},
      {"MaxPool", [](Call& call) { call.adds(primitive::MaxPool{window(call)}, {call.x()}); }},
      {"AveragePool",
       [](Call& call) {
         primitive::AveragePool made{window(call), call.integer("count_include_pad") != 0};
         call.adds(std::move(made), {call.x()});
       }},
      {"GlobalAveragePool", pooled_whole},
      {"Resize", resized},
      {"ArgMax", largest},
      {"ArgMin", largest},
      {"CumSum", [](Call& call) { call.adds(primitive::CumulativeSum{call.dim(call.scalar_integer(1))}, {call.x()}); }},
      {"TopK", top},
      {"Softmax",
       [](Call& call) {
         call.adds(primitive::Softmax{call.axis(), false}, {call.x()});
       }},
      {"LogSoftmax",
       [](Call& call) {
         call.adds(primitive::Softmax{call.axis(), true}, {call.x()});
       }},
      {"BatchNormalization", [](Call& call) { call.adds(primitive::BatchNorm{call.real("epsilon")}, call.all()); }},
      {"Clip", clipped},
      {"HardSigmoid", hard_sigmoid},
      {"LayerNormalization", layer_norm},
      {"Gelu", gelu},
      {"LSTM", recurrent},
      {"GRU", recurrent}};
  return table;
}

}  // namespace

void read_onnx_node(OnnxReader& reader, const onnx::NodeProto& node) {
  Call call(reader, node);
  if (const auto* kind = find_onnx_name(onnx_unaries(), node.op_type())) {
    call.adds(primitive::Unary{*kind}, {call.x()});
  } else if (const auto* both = find_onnx_name(onnx_binaries(), node.op_type())) {
    call.adds(primitive::Binary{*both}, {call.x(0), call.x(1)});
  } else if (find_onnx_name(onnx_reductions(), node.op_type())) {
    reduced(call);
  } else if (const auto found = operators().find(node.op_type()); found != operators().end()) {
    found->second(call);
  } else {
    throw InputError("Lockstep writes no such operator");
  }
  call.require_all_read();
}

}  // namespace lockstep
