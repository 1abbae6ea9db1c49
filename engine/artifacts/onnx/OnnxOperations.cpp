// How each primitive operation is written. Operators: the operator sets of ONNX up to kOnnxOpset.
#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "engine/artifacts/onnx/OnnxNames.h"
#include "engine/artifacts/onnx/OnnxTypes.h"
#include "engine/artifacts/onnx/OnnxWriter.h"

namespace lockstep {

namespace {

using Value = OnnxValue;

constexpr std::int64_t kOn = 1;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::int64_t as_int(std::size_t number) { return static_cast<std::int64_t>(number); }
float as_float(double number) { return static_cast<float>(number); }

Ints joined(const Ints& a, const Ints& b) {
  Ints all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

bool is_known(const Dimension& size) { return std::holds_alternative<std::int64_t>(size); }

/// One function for each.
struct WriteOperation {
  OnnxWriter& w;

  Value x(std::size_t i = 0) const { return w.input(i); }
  std::size_t inputs() const { return w.node().inputs.size(); }
  std::size_t rank(std::size_t i = 0) const { return w.sizes(i).size(); }
  Value zero(ElementType type) const { return w.number(0, type); }

  void operator()(const primitive::Unary& unary) const {
    if (unary.kind == primitive::Unary::Kind::kRsqrt) return w.bind(w.run("Reciprocal", {w.run("Sqrt", {x()})}));
    const std::string& op = onnx_unaries().at(unary.kind);
    const bool to_bool = unary.kind == primitive::Unary::Kind::kIsNan;
    w.bind(to_bool ? w.run(op, {x()}, {}, ElementType::kBool) : w.run(op, {x()}));
  }

  // What a binary node of this kind made of another value and a number on its right, or nothing.
  struct WithNumber {
    ValueId x;
    float number;
  };
  std::optional<WithNumber> with_number(ValueId y, primitive::Binary::Kind kind) const {
    const PrimitiveNode* node = w.producer(y);
    const auto* binary = node ? std::get_if<primitive::Binary>(&node->operation) : nullptr;
    if (!binary || binary->kind != kind) return {};
    const PrimitiveNode* right = w.producer(node->inputs.at(1));
    const auto* constant = right ? std::get_if<primitive::Constant>(&right->operation) : nullptr;
    if (!constant || constant->type != ElementType::kFloat || !constant->sizes.empty()) return {};
    WithNumber found{node->inputs.at(0), 0};
    std::memcpy(&found.number, constant->bytes.data(), sizeof found.number);
    return found;
  }
  std::optional<ValueId> before(std::optional<ValueId> y, primitive::Binary::Kind kind, float number) const {
    const auto found = y ? with_number(*y, kind) : std::nullopt;
    return found && found->number == number ? std::optional(found->x) : std::nullopt;
  }
  // What ONNX Runtime does within a convolution: min(max(x + 3, 0), 6) ÷ 6, and min(max(x, least), most).
  std::optional<Value> activation() const {
    using Kind = primitive::Binary::Kind;
    const ValueId y = w.node().outputs.at(0);
    if (const auto in =
            before(before(before(before(y, Kind::kDivide, 6), Kind::kMinimum, 6), Kind::kMaximum, 0), Kind::kAdd, 3)) {
      return w.run("HardSigmoid", {w.value(*in)}, {{"alpha", 1.0F / 6}, {"beta", 0.5F}});
    }
    const auto most = with_number(y, Kind::kMinimum);
    const auto least = most ? with_number(most->x, Kind::kMaximum) : std::nullopt;
    if (!least || !(least->number <= most->number)) return {};
    return w.run("Clip", {w.value(least->x), w.number(least->number, ElementType::kFloat), x(1)});
  }

  // State of int8 times a scale for each entry of one dimension.
  std::optional<Value> dequantized() const {
    if (std::get<primitive::Binary>(w.node().operation).kind != primitive::Binary::Kind::kMultiply) return {};
    const PrimitiveNode* left = w.producer(w.node().inputs.at(0));
    const PrimitiveNode* right = w.producer(w.node().inputs.at(1));
    const auto* unsqueeze = right ? std::get_if<primitive::Unsqueeze>(&right->operation) : nullptr;
    if (!left || !unsqueeze || !std::holds_alternative<primitive::Cast>(left->operation)) return {};
    const ValueId weight = left->inputs.at(0);
    const ValueId scale = right->inputs.at(0);
    const std::vector<Dimension>& sizes = w.described(weight).sizes;
    if (w.producer(weight) || w.producer(scale) || w.described(weight).type != ElementType::kInt8 ||
        w.described(scale).type != ElementType::kFloat || w.described(scale).sizes.size() != 1 ||
        unsqueeze->dims.size() + 1 != sizes.size()) {
      return {};
    }
    std::int64_t axis = 0;
    while (std::ranges::count(unsqueeze->dims, axis) > 0) ++axis;
    if (w.described(scale).sizes[0] != sizes.at(static_cast<std::size_t>(axis))) return {};
    return w.add("DequantizeLinear", {w.value(weight), w.value(scale)}, {{"axis", axis}}, ElementType::kFloat);
  }

  // Whether a remainder has the sign that the divisor has not, which no sum of the two has.
  Value signs_differ(const Value& remainder, const Value& divisor) const {
    const Value product = w.run("Mul", {w.run("Sign", {remainder}), w.run("Sign", {divisor})});
    return w.run("Less", {product, zero(product.type)}, {}, ElementType::kBool);
  }
  Value select(const Value& condition, const Value& a, const Value& b) const {
    const ElementType type = kernel_type("Where", a.type);
    return w.cast(w.add("Where", {condition, w.cast(a, type), w.cast(b, type)}, {}, type), a.type);
  }
  // Of ONNX's two remainders, the one of integers has the sign of the divisor, and that of floating-point numbers, as
  // C's, that of the dividend.
  Value remainder(const Value& a, const Value& b) const {
    if (!is_real(a.type)) return w.run("Mod", {a, b});
    const Value found = w.run("Mod", {a, b}, {{"fmod", kOn}});
    return select(signs_differ(found, b), w.run("Add", {found, b}), found);
  }
  Value floor_divide(const Value& a, const Value& b) const {
    // ONNX divides integers toward zero; here without a rest.
    if (!is_real(a.type)) return w.run("Div", {w.run("Sub", {a, remainder(a, b)}), b});
    const Value found = w.run("Mod", {a, b}, {{"fmod", kOn}});
    const Value exact = w.run("Div", {w.run("Sub", {a, found}), b});
    const Value below = w.run("Sub", {exact, w.cast(signs_differ(found, b), a.type)});
    const Value by_zero = w.run("Equal", {b, zero(b.type)}, {}, ElementType::kBool);
    return select(by_zero, w.run("Div", {a, b}), w.run("Round", {below}));
  }
  void operator()(const primitive::Binary& binary) const {
    using Kind = primitive::Binary::Kind;
    if (const auto written = dequantized()) return w.bind(*written);
    if (const auto written = activation()) return w.bind(*written);
    const std::vector<Value> in = all_inputs();
    if (binary.kind == Kind::kRemainder) return w.bind(remainder(in.at(0), in.at(1)));
    if (binary.kind == Kind::kFloorDivide) return w.bind(floor_divide(in.at(0), in.at(1)));
    if (binary.kind == Kind::kDivide) return w.bind(w.run("Div", in));
    const std::string& op = onnx_binaries().at(binary.kind);
    const bool compares = binary.kind == Kind::kEqual || binary.kind == Kind::kLess || binary.kind == Kind::kLessEqual;
    w.bind(compares ? w.run(op, in, {}, ElementType::kBool) : w.run(op, in));
  }
  void operator()(const primitive::Select&) const {
    const std::vector<Value> in = all_inputs();
    w.bind(select(in.at(0), in.at(1), in.at(2)));
  }
  void operator()(const primitive::Cast& cast) const { w.bind(w.cast(x(), cast.type)); }
  void operator()(const primitive::Constant& constant) const { w.bind(w.constant(constant)); }

  void operator()(const primitive::Size& size) const {
    const OnnxAttributes place = {{"start", as_int(size.dim)}, {"end", as_int(size.dim) + 1}};
    const Value vector = w.add("Shape", {x()}, place, ElementType::kInt64);
    w.bind_vector(vector);
    w.bind(w.add("Squeeze", {vector, w.integers(Ints{0})}, {}, ElementType::kInt64));
  }
  void operator()(const primitive::Range&) const {
    w.bind(w.add("Range", {x(0), x(1), x(2)}, {}, ElementType::kInt64));
  }

  // In ONNX a size of 0 is that of the input's dimension at the same place, which needs no computation.
  void operator()(const primitive::Reshape& reshape) const {
    const std::vector<Dimension>& from = w.sizes(0);
    const std::vector<Dimension>& to = w.result_sizes();
    if (from == to) return w.bind(x());
    Integers sizes = reshape.sizes;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (is_known(to.at(i))) sizes[i] = std::get<std::int64_t>(to[i]);
    }
    const auto computed = [](const Integer& size) { return std::holds_alternative<ValueId>(size); };
    const bool empty = std::ranges::count(sizes, Integer(std::int64_t{0})) > 0;
    bool copies = false;
    for (std::size_t i = 0; i < sizes.size() && !empty; ++i) {
      if (!computed(sizes[i]) || i >= from.size() || from[i] != to[i]) continue;
      sizes[i] = std::int64_t{0};
      copies = true;
    }
    const bool open = std::ranges::count(sizes, Integer(std::int64_t{-1})) > 0;
    if (!empty && !open && std::ranges::count_if(sizes, computed) == 1) {
      *std::ranges::find_if(sizes, computed) = std::int64_t{-1};
    }
    OnnxAttributes attributes;
    if (!copies && (empty || std::ranges::any_of(sizes, computed))) attributes = {{"allowzero", kOn}};
    w.bind(w.add("Reshape", {x(), w.integers(sizes)}, attributes, x().type));
  }
  void operator()(const primitive::Unsqueeze& unsqueeze) const {
    w.bind(w.add("Unsqueeze", {x(), w.integers(unsqueeze.dims)}, {}, x().type));
  }
  void operator()(const primitive::Squeeze& squeeze) const {
    w.bind(w.add("Squeeze", {x(), w.integers(squeeze.dims)}, {}, x().type));
  }
  // In ONNX a size of 1 leaves the dimension as it is.
  void operator()(const primitive::Broadcast& broadcast) const {
    const std::vector<Dimension>& from = w.sizes(0);
    const std::vector<Dimension>& to = w.result_sizes();
    if (from == to) return w.bind(x());
    Integers sizes = broadcast.sizes;
    for (std::size_t i = 1; i <= sizes.size(); ++i) {
      const std::size_t at = sizes.size() - i;
      if (is_known(to.at(at))) sizes[at] = std::get<std::int64_t>(to[at]);
      if (i <= from.size() && from[from.size() - i] == to[at]) sizes[at] = std::int64_t{1};
    }
    const ElementType type = kernel_type("Expand", x().type);
    w.bind(w.cast(w.add("Expand", {w.cast(x(), type), w.integers(sizes)}, {}, type), x().type));
  }
  void operator()(const primitive::Transpose& transpose) const {
    if (std::ranges::is_sorted(transpose.axes)) return w.bind(x());
    w.bind(w.run("Transpose", {x()}, {{"perm", transpose.axes}}));
  }

  Value slice(const Value& whole, std::size_t dim, const Integer& start, const Integer& end, std::int64_t step) const {
    return w.add("Slice",
                 {whole, w.integers({start}), w.integers({end}), w.integers(Ints{as_int(dim)}), w.integers(Ints{step})},
                 {}, whole.type);
  }
  void operator()(const primitive::Slice& operation) const {
    w.bind(slice(x(), operation.dim, operation.start, operation.end, operation.step));
  }
  void operator()(const primitive::Reverse& reverse) const {
    w.bind(slice(x(), reverse.dim, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(), -1));
  }
  void operator()(const primitive::Concatenate& concatenate) const {
    std::vector<Value> parts;
    for (std::size_t i = 0; i < inputs(); ++i) parts.push_back(x(i));
    if (parts.size() == 1) return w.bind(x());
    w.bind(w.run("Concat", parts, {{"axis", as_int(concatenate.dim)}}));
  }

  Value pad(const Value& inner, const Ints& before, const Ints& after, double value) const {
    const ElementType type = kernel_type("Pad", inner.type);
    const std::vector<Value> in = {w.cast(inner, type), w.integers(joined(before, after)), w.number(value, type)};
    return w.cast(w.add("Pad", in, {}, type), inner.type);
  }
  void operator()(const primitive::Pad& operation) const {
    w.bind(pad(x(), operation.before, operation.after, operation.value));
  }
  void operator()(const primitive::Gather& gather) const {
    w.bind(w.add("Gather", {x(0), x(1)}, {{"axis", as_int(gather.dim)}}, x().type));
  }
  void operator()(const primitive::GatherElements& gather) const {
    w.bind(w.add("GatherElements", {x(0), x(1)}, {{"axis", as_int(gather.dim)}}, x().type));
  }

  Value transposed(const Value& matrices, std::size_t rank) const {
    Ints axes;
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(as_int(i));
    std::swap(axes.at(rank - 1), axes.at(rank - 2));
    return w.run("Transpose", {matrices}, {{"perm", axes}});
  }
  void operator()(const primitive::MatrixMultiply& multiply) const {
    w.bind(w.run("MatMul", {x(0), multiply.transpose_second ? transposed(x(1), rank(1)) : x(1)}));
  }
  // Gemm is of matrices only.
  void operator()(const primitive::Linear&) const {
    if (rank() == 2) {
      std::vector<Value> in = {x(0), x(1)};
      if (inputs() > 2) in.push_back(x(2));
      return w.bind(w.run("Gemm", in, {{"transB", kOn}}));
    }
    const Value product = w.run("MatMul", {x(0), transposed(x(1), 2)});
    w.bind(inputs() > 2 ? w.run("Add", {product, x(2)}) : product);
  }

  static OnnxAttributes attributes(const primitive::Window& window) {
    return {{"kernel_shape", window.size},
            {"strides", window.stride},
            {"pads", joined(window.before, window.after)},
            {"dilations", window.dilation}};
  }
  std::vector<Value> all_inputs() const {
    std::vector<Value> all;
    for (std::size_t i = 0; i < inputs(); ++i) all.push_back(x(i));
    return all;
  }
  void operator()(const primitive::Convolution& convolution) const {
    OnnxAttributes given = attributes(convolution.window);
    given.emplace_back("group", convolution.groups);
    w.bind(w.run("Conv", all_inputs(), given));
  }
  void operator()(const primitive::TransposedConvolution& convolution) const {
    OnnxAttributes given = attributes(convolution.window);
    given.emplace_back("output_padding", convolution.output_padding);
    given.emplace_back("group", convolution.groups);
    w.bind(w.run("ConvTranspose", all_inputs(), given));
  }

  // Of the sizes of x from a dimension on.
  Value ones(std::size_t first) const {
    Ints known;
    for (std::size_t i = first; i < rank() && is_known(w.sizes(0)[i]); ++i) {
      known.push_back(std::get<std::int64_t>(w.sizes(0)[i]));
    }
    const Value shape = known.size() == rank() - first
                            ? w.integers(known)
                            : w.add("Shape", {x()}, {{"start", as_int(first)}}, ElementType::kInt64);
    return w.add("Expand", {w.number(1, x().type), shape}, {}, x().type);
  }
  // ONNX Runtime's pools pad by less than a window.
  static bool pads_little(const primitive::Window& window) {
    for (std::size_t i = 0; i < window.size.size(); ++i) {
      if (std::max(window.before[i], window.after[i]) >= window.size[i]) return false;
    }
    return true;
  }
  Value padded(const Value& inner, const primitive::Window& window, double value) const {
    return pad(inner, joined({0, 0}, window.before), joined({0, 0}, window.after), value);
  }
  static primitive::Window without_padding(primitive::Window window) {
    window.before.assign(window.size.size(), 0);
    window.after = window.before;
    return window;
  }
  void operator()(const primitive::MaxPool& pool) const {
    if (pads_little(pool.window)) return w.bind(w.run("MaxPool", {x()}, attributes(pool.window)));
    if (!is_real(x().type)) w.refuse("a pool of integers pads by a window or more");
    w.bind(w.run("MaxPool", {padded(x(), pool.window, -kInfinity)}, attributes(without_padding(pool.window))));
  }
  void operator()(const primitive::AveragePool& pool) const {
    const auto average = [&](const Value& of, const primitive::Window& window, bool count) {
      OnnxAttributes given = attributes(window);
      given.emplace_back("count_include_pad", std::int64_t{count});
      return w.run("AveragePool", {of}, given);
    };
    // ONNX Runtime 1.19 merges a Pad before it with the pool's own, and counts neither.
    const PrimitiveNode* maker = w.producer(w.node().inputs.at(0));
    const bool merged = maker && std::holds_alternative<primitive::Pad>(maker->operation) && !pool.count_padding;
    if (pads_little(pool.window) && !merged) return w.bind(average(x(), pool.window, pool.count_padding));
    const primitive::Window window = without_padding(pool.window);
    const Value sums = average(padded(x(), pool.window, 0), window, true);
    if (pool.count_padding) return w.bind(sums);
    w.bind(w.run("Div", {sums, average(padded(ones(0), pool.window, 0), window, true)}));
  }
  void operator()(const primitive::Resize& resize) const {
    const bool nearest = resize.kind == primitive::Resize::Kind::kNearest;
    OnnxAttributes given = {{"mode", std::string(nearest ? "nearest" : "linear")},
                            {"coordinate_transformation_mode", std::string(nearest                ? "asymmetric"
                                                                           : resize.align_corners ? "align_corners"
                                                                                                  : "half_pixel")}};
    if (nearest) given.emplace_back("nearest_mode", std::string("floor"));
    const ElementType type = kernel_type("Resize", x().type);
    const Value kept =
        w.add("Shape", {x()}, {{"start", std::int64_t{0}}, {"end", std::int64_t{2}}}, ElementType::kInt64);
    const Value sizes =
        w.add("Concat", {kept, w.integers(resize.sizes)}, {{"axis", std::int64_t{0}}}, ElementType::kInt64);
    w.bind(w.cast(w.add("Resize", {w.cast(x(), type), {}, {}, sizes}, given, type), x().type));
  }

  void operator()(const primitive::Reduce& reduce) const {
    using Kind = primitive::Reduce::Kind;
    const bool logical = reduce.kind == Kind::kAny || reduce.kind == Kind::kAll;
    const std::string& op = logical ? onnx_reductions().at(reduce.kind == Kind::kAny ? Kind::kMax : Kind::kMin)
                                    : onnx_reductions().at(reduce.kind);
    Ints spatial;
    for (std::size_t i = 2; i < rank(); ++i) spatial.push_back(as_int(i));
    if (reduce.kind == Kind::kMean && reduce.keep && spatial.size() > 1 && reduce.dims == spatial) {
      return w.bind(w.run("GlobalAveragePool", {x()}));
    }
    const auto reduced = [&](const Value& of) {
      const ElementType type = kernel_type(op, of.type);
      const std::vector<Value> in = {w.cast(of, type), w.integers(reduce.dims)};
      return w.cast(w.add(op, in, {{"keepdims", std::int64_t{reduce.keep}}}, type), of.type);
    };
    const Value result = reduced(x());
    if (!is_real(x().type) || (reduce.kind != Kind::kMax && reduce.kind != Kind::kMin)) return w.bind(result);
    // ONNX Runtime finds a NaN in some places only.
    const Value nan = any(is_nan(x()), reduce.dims, reduce.keep);
    w.bind(select(nan, w.number(std::numeric_limits<double>::quiet_NaN(), x().type), result));
  }
  Value is_nan(const Value& of) const { return w.run("IsNaN", {of}, {}, ElementType::kBool); }
  Value any(const Value& of, const Ints& dims, bool keep) const {
    return w.add("ReduceMax", {of, w.integers(dims)}, {{"keepdims", std::int64_t{keep}}}, ElementType::kBool);
  }
  void operator()(const primitive::ArgReduce& reduce) const {
    const std::string op = reduce.largest ? "ArgMax" : "ArgMin";
    const auto place = [&](const std::string& named, const Value& of) {
      return w.run(named, {of}, {{"axis", as_int(reduce.dim)}, {"keepdims", std::int64_t{reduce.keep}}},
                   ElementType::kInt64);
    };
    if (is_real(kernel_type(op, x().type)) && !is_real(x().type)) return w.bind(place_of_integers(reduce));
    const Value found = place(op, x());
    if (!is_real(x().type)) return w.bind(found);
    // ONNX Runtime overlooks NaN; PyTorch finds the first.
    const Value nan = is_nan(x());
    w.bind(select(any(nan, {as_int(reduce.dim)}, reduce.keep), place("ArgMax", nan), found));
  }
  // Integers that ONNX Runtime's ArgMax would round.
  Value place_of_integers(const primitive::ArgReduce& reduce) const {
    const ElementType type = kernel_type("TopK", x().type);
    const Value found =
        w.add("TopK", {w.cast(x(), type), w.integers(Ints{1})},
              {{"axis", as_int(reduce.dim)}, {"largest", std::int64_t{reduce.largest}}}, {type, ElementType::kInt64})
            .at(1);
    if (reduce.keep) return found;
    return w.add("Squeeze", {found, w.integers(Ints{as_int(reduce.dim)})}, {}, ElementType::kInt64);
  }
  void operator()(const primitive::CumulativeSum& sum) const {
    const ElementType type = kernel_type("CumSum", x().type);
    const Value dim = w.number(static_cast<double>(sum.dim), ElementType::kInt64);
    w.bind(w.cast(w.add("CumSum", {w.cast(x(), type), dim}, {}, type), x().type));
  }
  void operator()(const primitive::TopK& top) const {
    const ElementType type = kernel_type("TopK", x().type);
    const std::vector<Value> found =
        w.add("TopK", {w.cast(x(), type), w.integers({top.k})},
              {{"axis", as_int(top.dim)}, {"largest", std::int64_t{top.largest}}}, {type, ElementType::kInt64});
    w.bind(found.at(1), 1);
    w.bind(w.cast(found.at(0), x().type), 0);
  }
  void operator()(const primitive::Softmax& softmax) const {
    w.bind(w.run(softmax.logarithm ? "LogSoftmax" : "Softmax", {x()}, {{"axis", as_int(softmax.dim)}}));
  }

  void operator()(const primitive::BatchNorm& norm) const {
    w.bind(w.run("BatchNormalization", all_inputs(), {{"epsilon", as_float(norm.epsilon)}}));
  }
  void operator()(const primitive::LayerNorm& norm) const {
    std::vector<Value> in = all_inputs();
    if (in.size() == 1) {  // ONNX wants a scale
      in.push_back(ones(rank() - norm.dims));
    }
    w.bind(w.run("LayerNormalization", in, {{"axis", -as_int(norm.dims)}, {"epsilon", as_float(norm.epsilon)}}));
  }
  void operator()(const primitive::Gelu& gelu) const {
    w.bind(w.run("Gelu", {x()}, {{"approximate", std::string(gelu.tanh ? "tanh" : "none")}}));
  }
  // ONNX has other orders of gates than PyTorch, and one dimension more: that of directions.
  void operator()(const primitive::Recurrent& recurrent) const {
    const bool lstm = recurrent.kind == primitive::Recurrent::Kind::kLstm;
    const Ints order = lstm ? Ints{0, 3, 1, 2} : Ints{1, 0, 2};
    const auto gates = as_int(order.size());
    const std::int64_t width = std::get<std::int64_t>(w.sizes(2).at(1));
    const auto reshape = [&](const Value& value, const Ints& sizes) {
      return w.add("Reshape", {value, w.integers(sizes)}, {}, value.type);
    };
    const auto ordered = [&](std::size_t i, const Ints& inner) {
      const Value by_gates = reshape(x(i), joined({gates, width}, inner));
      const OnnxAttributes axis = {{"axis", std::int64_t{0}}};
      const Value gathered = w.add("Gather", {by_gates, w.integers(order)}, axis, by_gates.type);
      return reshape(gathered, joined({1, gates * width}, inner));
    };
    const auto directed = [&](std::size_t i) { return w.add("Unsqueeze", {x(i), w.integers(Ints{0})}, {}, x(i).type); };
    const Value biases = w.run("Concat", {ordered(3, {}), ordered(4, {})}, {{"axis", kOn}});
    const ElementType type = kernel_type(lstm ? "LSTM" : "GRU", x().type);
    std::vector<Value> in = {
        x(), ordered(1, {std::get<std::int64_t>(w.sizes(1).at(1))}), ordered(2, {width}), biases, {}, directed(5)};
    if (lstm) in.push_back(directed(6));
    for (Value& value : in) value = value.name.empty() ? value : w.cast(value, type);
    OnnxAttributes given = {{"hidden_size", width},
                            {"direction", std::string(recurrent.reverse ? "reverse" : "forward")}};
    if (!lstm) given.emplace_back("linear_before_reset", kOn);
    const std::vector<Value> made = w.add(lstm ? "LSTM" : "GRU", in, given, std::vector(lstm ? 3 : 2, type));
    for (std::size_t i = 0; i < made.size(); ++i) {
      const Value squeezed = w.add("Squeeze", {made[i], w.integers(Ints{i == 0 ? 1 : 0})}, {}, type);
      w.bind(w.cast(squeezed, x().type), i);
    }
  }
};

}  // namespace

void write_onnx_operation(OnnxWriter& writer) { std::visit(WriteOperation{writer}, writer.node().operation); }

}  // namespace lockstep
